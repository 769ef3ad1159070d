// The page: a form for the filters, and a row for each event.

import { type Envelope, type Filter, Stream, markOf } from "./stream.js";

const MOST_ROWS = 500;
/** Where the last event of an address is kept that this tab has seen, so that it misses nothing while it is reloaded. */
const lastOf = (address: string): string => `last-event ${address}`;

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new Error(`the page has no ${id}`);
  }
  return found;
}

const form = element("filters", HTMLFormElement);
const url = element("url", HTMLInputElement);
const sources = element("sources", HTMLInputElement);
const types = element("types", HTMLInputElement);
const state = element("state", HTMLElement);
const rows = element("rows", HTMLTableSectionElement);

let stream: Stream | undefined;

function words(input: HTMLInputElement): string[] {
  return input.value.split(/[\s,]+/).filter((word) => word !== "");
}

function show(address: string, event: Envelope): void {
  sessionStorage.setItem(lastOf(address), markOf(event));
  const row = rows.insertRow(0);
  // Never as HTML: what stands in an event comes from its sender.
  for (const text of [event.received_at, event.source, event.event_type, event.id]) {
    row.insertCell().textContent = text;
  }
  const payload = document.createElement("details");
  payload.append(document.createElement("summary"), document.createElement("pre"));
  payload.lastElementChild!.textContent = JSON.stringify(event.payload, null, 2);
  row.insertCell().append(payload);
  while (rows.rows.length > MOST_ROWS) {
    rows.deleteRow(-1);
  }
}

function follow(): void {
  stream?.stop();
  const address = url.value;
  const filter: Filter = { sources: words(sources), types: words(types) };
  const listener = {
    event: (event: Envelope) => show(address, event),
    state: (text: string) => (state.textContent = text),
  };
  stream = new Stream(address, filter, listener, sessionStorage.getItem(lastOf(address)) ?? undefined);
}

form.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  follow();
});
follow();
