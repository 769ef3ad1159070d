// Follows a `websocket_server_output`: connects again by itself, and asks for what it has missed meanwhile.

/** An event as every destination gets it. */
export interface Envelope {
  id: string;
  source: string;
  event_type: string;
  received_at: string;
  payload: unknown;
  meta?: { replay?: { id: string }; [key: string]: unknown };
}

/** Which events, as globs; all where there is none. */
export interface Filter {
  sources: string[];
  types: string[];
}

export interface Listener {
  event(event: Envelope): void;
  state(state: string): void;
}

/** The close code for an event that the log no longer has. */
const UNKNOWN_EVENT = 4404;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** So many ids are remembered: on Kafka with several partitions some events may come twice after a restart. */
const REMEMBERED = 1000;

/** What names this appearance of an event: a replay has the id of what it repeats. */
export function markOf(event: Envelope): string {
  const replay = event.meta?.replay?.id;
  return replay === undefined ? event.id : `${event.id}_${replay}`;
}

export class Stream {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pause = FIRST_PAUSE_MS;
  private seen = new Set<string>();
  private isStopped = false;

  /** `after` is the last event that was seen before, `earliest`, or nothing for what comes from now on. */
  constructor(
    private readonly url: string,
    private readonly filter: Filter,
    private readonly listener: Listener,
    private after: string | undefined,
  ) {
    this.connect();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.socket?.close(1000);
  }

  private connect(): void {
    const url = new URL(this.url);
    this.filter.sources.forEach((glob) => url.searchParams.append("source", glob));
    this.filter.types.forEach((glob) => url.searchParams.append("type", glob));
    if (this.after !== undefined) {
      url.searchParams.set("after", this.after);
    }
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      this.pause = FIRST_PAUSE_MS;
      this.listener.state("connected");
    };
    socket.onmessage = (message) => this.take(JSON.parse(String(message.data)) as Envelope);
    socket.onclose = (end) => this.onClose(end);
  }

  private take(event: Envelope): void {
    const mark = markOf(event);
    if (this.isStopped || this.seen.has(mark)) {
      return;
    }
    this.seen.add(mark);
    if (this.seen.size > REMEMBERED) {
      // A set keeps the order in which it was filled.
      for (const oldest of this.seen) {
        this.seen.delete(oldest);
        break;
      }
    }
    this.after = mark;
    this.listener.event(event);
  }

  private onClose(end: CloseEvent): void {
    if (this.isStopped) {
      return;
    }
    if (end.code === UNKNOWN_EVENT) {
      this.after = "earliest";
      this.listener.state(`some events are gone: ${end.reason}`);
    } else {
      const why = end.reason === "" ? `code ${end.code}` : end.reason;
      this.listener.state(`not connected (${why}); again in ${this.pause / 1000} s`);
    }
    this.timer = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
  }
}
