// A page in headless Chromium, and the browser's own WebSocket in it.
import { createServer } from "node:http";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

import { converse } from "./conversation.mjs";

// Without a sandbox, because a test may run as root; without what would look for hosts of the outside.
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const profile = await mkdtemp(join(tmpdir(), "browser-"));
// The example page, built by `scripts/clients install`; an empty one at any other path.
const example = process.env.HOOK_CLIENTS + "/page/";
const types = { html: "text/html", js: "text/javascript" };
const pages = createServer(async ({ url }, response) => {
  const [, name, kind] = url.match(/^\/example\/([a-z/]+\.(html|js))$/) ?? [undefined, undefined, "html"];
  const body = name === undefined ? "<!doctype html>" : await readFile(example + name).catch(() => "");
  response.setHeader("content-type", types[kind]).end(body);
});
await new Promise((listening) => pages.listen(0, "127.0.0.1", listening));
const { port } = pages.address();
const browser = await puppeteer.launch({ executablePath: process.argv[2], args: flags, userDataDir: profile });
const page = await browser.newPage();

await converse({
  /** The origins of the page's two names. */
  origins: () => ({ origins: [`http://127.0.0.1:${port}`, `http://localhost:${port}`] }),

  visit: ({ origin }) => page.goto(`${origin}/`).then(() => ({})),

  /** Opens the example page, or reloads it, and follows an address with it. */
  follow: async ({ origin, url, types }) => {
    await page.goto(`${origin}/example/index.html`);
    await page.evaluate(
      (url, types) => {
        document.getElementById("url").value = url;
        document.getElementById("types").value = types;
        document.getElementById("filters").requestSubmit();
      },
      url,
      types,
    );
    return {};
  },

  /** Waits until the example page shows so many events and this state; says what each row holds, the newest first. */
  rows: async ({ count, state }) => {
    const shown = (count, state) =>
      document.getElementById("rows").rows.length >= count && document.getElementById("state").textContent.startsWith(state);
    await page.waitForFunction(shown, { timeout: 60_000 }, count, state);
    const rows = await page.$$eval("#rows tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
    return { rows };
  },

  /** Opens a WebSocket; says whether it is open, or how it was closed. */
  open: ({ url }) =>
    page.evaluate(
      (url) =>
        new Promise((told) => {
          window.came = [];
          window.waiting = undefined;
          window.socket = new WebSocket(url);
          socket.onmessage = ({ data }) => {
            came.push(JSON.parse(data));
            waiting?.();
          };
          socket.onopen = () => told({ open: true });
          socket.onclose = ({ code, reason, wasClean }) => {
            window.ended = { code, reason, wasClean };
            waiting?.();
            told({ open: false, ...ended });
          };
        }),
      url,
    ),

  send: ({ frames }) => page.evaluate((frames) => frames.forEach((frame) => socket.send(JSON.stringify(frame))), frames),

  /** Waits until so many messages have come since the last time, and returns them. */
  take: ({ count }) =>
    page.evaluate(async (count) => {
      while (came.length < count && socket.readyState === WebSocket.OPEN) {
        await new Promise((something) => (window.waiting = something));
      }
      return { messages: came.splice(0), open: socket.readyState === WebSocket.OPEN };
    }, count),

  /** Posts JSON with a token; says what comes of it, or that the browser has not let the page do so. */
  post: ({ url, token, body }) =>
    page.evaluate(
      async ({ url, token, body }) => {
        const headers = {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        };
        try {
          const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
          return { status: response.status, body: await response.json() };
        } catch {
          return { status: null };
        }
      },
      { url, token, body },
    ),

  /** Closes it, and says how it was closed. */
  close: () =>
    page.evaluate(async () => {
      socket.close(1000);
      while (socket.readyState !== WebSocket.CLOSED) await new Promise((something) => (window.waiting = something));
      return ended;
    }),
});

await browser.close();
pages.close();
await rm(profile, { recursive: true, force: true, maxRetries: 5 });
