// Compares our vectors, and what `hook send` makes, with what the providers' own code says.
//
//   node check.mjs VECTORS [HOOK]        the folder of vectors; the binary, where what it sends is looked at too
//
// Every request that we take has to be taken, and none whose body, signature or secret is another.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifiers } from './verifiers.mjs';

const [folder, hook] = process.argv.slice(2);
const RealDate = Date;
const failures = [];

/** Lets SDKs live at the time of a vector. */
function liveAt(time) {
  globalThis.Date = class extends RealDate {
    constructor(...parts) {
      super(...(parts.length ? parts : [time]));
    }
    static now() {
      return time;
    }
  };
}

// Where we take more than an SDK, and why.
const LENIENT = new Map([
  ['linear: a body that is not JSON is not the verifier\'s business', 'it is refused as malformed after the signature'],
  ['standard-webhooks: a secret without the prefix is the key itself', 'the library reads it as base64, the specification has a prefix'],
  ['stripe: spaces after commas, as a proxy may write them', 'the same elements'],
]);

function expect(name, expected, found) {
  if (LENIENT.has(name)) return;
  if (found !== expected) failures.push(`${name}: the SDK ${found ? 'takes' : 'refuses'} what we ${expected ? 'take' : 'refuse'}`);
}

function requestOf(vector) {
  const headers = Object.fromEntries(vector.headers.map(([name, value]) => [name.toLowerCase(), value]));
  const path = vector.url ?? '/webhook/test?a=1';
  const address = vector.settings?.public_url ?? `https://${headers.host ?? 'hooks.example.com'}${path}`;
  return { url: address, headers, body: vector.body };
}

/** Another character of the same alphabet, at three places of the signature. */
function otherSignatures(signature) {
  return [0, signature.length >> 1, signature.length - 4].map((at) => {
    const other = signature[at] === '2' ? '3' : '2';
    return signature.slice(0, at) + other + signature.slice(at + 1);
  });
}

function replaced(request, from, to) {
  const swap = (text) => text.split(from).join(to);
  const inHeader = Object.values(request.headers).some((value) => value.includes(from));
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, swap(value)]));
  return { url: swap(request.url), headers, body: inHeader ? request.body : swap(request.body) };
}

/** A vector that we take, and what is wrong with it by one thing. */
async function checkTaken(name, vector, takes) {
  const request = requestOf(vector);
  const secret = vector.secrets[vector.expected.slot];
  expect(name, true, await takes(request, secret));
  let count = 1;
  for (const signature of vector.signature ? otherSignatures(vector.signature) : []) {
    expect(`${name}, another signature`, false, await takes(replaced(request, vector.signature, signature), secret));
    count += 1;
  }
  if (vector.signs_body === false) return count;
  for (const body of [`${request.body} `, request.body.replace(/[a-z]/i, 'q'), request.body.slice(0, -1)]) {
    // A trailing blank is nothing to an SDK that parses the body before it looks at the signature.
    if (body.endsWith(' ') && name.startsWith('zoom')) continue;
    expect(`${name}, another body`, false, await takes({ ...request, body }, secret));
    count += 1;
  }
  return count;
}

async function checkVectors(name, { takes }) {
  const { vectors } = JSON.parse(readFileSync(join(folder, `${name}.json`)));
  let count = 0;
  for (const vector of vectors) {
    const named = `${name}: ${vector.name}`;
    liveAt(RealDate.parse(vector.now));
    if (vector.expected.slot != null) {
      count += await checkTaken(named, vector, takes);
    } else if (vector.expected.refusal === 'signature_mismatch') {
      expect(named, false, await takes(requestOf(vector), vector.secrets[0]));
      count += 1;
    }
  }
  globalThis.Date = RealDate;
  return count;
}

/** Starts a server that keeps the first request it is sent. */
function listen() {
  return new Promise((resolve) => {
    let keep;
    const first = new Promise((kept) => (keep = kept));
    const server = createServer((incoming, answer) => {
      const parts = [];
      incoming.on('data', (part) => parts.push(part));
      incoming.on('end', () => {
        answer.writeHead(202).end();
        const url = `https://${incoming.headers.host}${incoming.url}`;
        keep({ url, headers: incoming.headers, body: Buffer.concat(parts).toString() });
      });
    });
    server.listen(0, '127.0.0.1', () => resolve({ port: server.address().port, first, server }));
  });
}

// A pair for each provider that signs with one.
const PAIRS = {
  discord: ['4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'],
  sendgrid: [
    'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgm2WbZwNfH0jZZVlCWznBlSJSXAzVHo+tG77MtmqG6AehRANCAAR1KluKzj95XH1qTe3WPY/aKwVwKdize59cJSh8HMp/EEOG/OnEOGwBvgPhoHRb2m1jrAysv28L1qyXUdORYSza',
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdSpbis4/eVx9ak3t1j2P2isFcCnYs3ufXCUofBzKfxBDhvzpxDhsAb4D4aB0W9ptY6wMrL9vC9asl1HTkWEs2g==',
  ],
};

/** The smallest contract with a source of a provider. */
function contractOf(name) {
  const source = ['github', 'linear', 'stripe'].includes(name) ? '' : `[sources.${name}]\nverifier = "${name}"\n`;
  return `[app]
id = "provider-sdks"
name = "The providers' own verifiers"
version = "1.0.0"
${source}
[[serve.ingress_adapters]]
id = "http-in"
driver = "http_webhook_ingress"
bind = "127.0.0.1:0"

[[serve.routes]]
id = "all"
source_match = "*"
event_type_pattern = "*"
target_topic = "webhooks.all"

[policies]
allow_no_output = true
no_output_sink = "discard"

[profiles.default]
label = "Everything"
serve_adapters = ["http-in"]
serve_routes = ["all"]
`;
}

/** What `hook send` makes for a provider. */
async function sent(name, event, secret) {
  const { port, first, server } = await listen();
  const place = mkdtempSync(join(tmpdir(), 'provider-sdks-'));
  const contract = join(place, 'contract.toml');
  writeFileSync(contract, contractOf(name));
  const variable = `HMAC_SECRET_${name.toUpperCase().replaceAll('-', '_')}`;
  const address = `http://127.0.0.1:${port}/webhook/${name}`;
  const key = PAIRS[name] ? ['--key-env', variable] : [];
  const arguments_ = ['send', name, event, '--contract', contract, '--data-dir', place, '--url', address, ...key];
  const child = spawn(hook, arguments_, { env: { PATH: process.env.PATH, [variable]: secret }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (part) => (said += part));
  child.stderr.on('data', (part) => (said += part));
  const ended = new Promise((resolve) => child.on('close', resolve));
  const request = await Promise.race([first, ended.then(() => null)]);
  await ended;
  server.closeAllConnections();
  server.close();
  rmSync(place, { recursive: true });
  if (!request) failures.push(`${name}: \`hook send\` sent nothing: ${said.trim()}`);
  return request;
}

async function checkSent(name, { event, takes }) {
  const [secret, key] = PAIRS[name] ?? [];
  const text = name === 'adyen' ? '44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056' : 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const request = await sent(name, event, secret ?? text);
  if (request) expect(`${name}: what \`hook send\` makes`, true, await takes(request, key ?? text));
  return request ? 1 : 0;
}

const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
for (const [name, verifier] of Object.entries(verifiers)) {
  const before = failures.length;
  const count = (await checkVectors(name, verifier)) + (hook ? await checkSent(name, verifier) : 0);
  const state = failures.length > before ? 'DISAGREES' : 'agrees';
  console.log(`${name.padEnd(18)} ${`${verifier.sdk} ${version(verifier.sdk)}`.padEnd(36)} ${String(count).padStart(3)} requests  ${state}`);
}
failures.forEach((failure) => console.error(failure));
console.log(`${Object.keys(verifiers).length - new Set(failures.map((failure) => failure.split(':')[0])).size} passed, ${new Set(failures.map((failure) => failure.split(':')[0])).size} failed`);
process.exit(failures.length ? 1 : 0);
