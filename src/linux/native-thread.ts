import { parentPort, Worker, type WorkerOptions } from 'node:worker_threads';

const LOADED = 'Loaded';

export interface NativeThreadOptions<Message> extends WorkerOptions {
  readonly onMessage: (message: Message) => void;
  /** It ended by itself, with what it threw. Not told of a thread that was ended from here. */
  readonly onEnded: (cause?: unknown) => void;
}

/**
 * A worker thread that loads koffi, and calls `sayLoaded` when it has. Terminated before that it would abort the whole process:
 * what koffi registers then fails, and so does throwing that (FATAL ERROR … napi_throw; koffi 3.3, Node 24).
 */
export class NativeThread<Message> {
  readonly #worker: Worker;
  readonly #options: NativeThreadOptions<Message>;
  readonly #unsent: unknown[] = [];
  #isLoaded = false;
  #isGivenUp = false;

  constructor(url: URL, options: NativeThreadOptions<Message>) {
    this.#options = options;
    this.#worker = new Worker(url, options);
    this.#worker.on('message', (message: Message | typeof LOADED) => this.#hear(message));
    this.#worker.on('error', (cause) => this.#tellEnded(cause));
    this.#worker.on('exit', () => this.#tellEnded());
  }

  post(message: unknown): void {
    if (this.#isLoaded) this.#worker.postMessage(message, []);
    else this.#unsent.push(message);
  }

  /** Whether it keeps the program running. */
  keepAlive(does: boolean): void {
    if (does) this.#worker.ref();
    else this.#worker.unref();
  }

  /**
   * Ends it, at once or when it has loaded, until which it keeps the program running: what was posted before that is not
   * done. Nothing more is heard of it. Not awaited: a thread that is stuck in the kernel ends when the kernel lets it go.
   */
  end(): void {
    this.#isGivenUp = true;
    this.keepAlive(!this.#isLoaded);
    if (this.#isLoaded) void this.#worker.terminate();
  }

  #hear(message: Message | typeof LOADED): void {
    if (message === LOADED) this.#isLoaded = true;
    if (this.#isGivenUp) this.end();
    else if (message === LOADED) for (const unsent of this.#unsent.splice(0)) this.post(unsent);
    else this.#options.onMessage(message);
  }

  #tellEnded(cause?: unknown): void {
    if (!this.#isGivenUp) this.#options.onEnded(cause);
  }
}

/** In the thread, when everything is loaded. */
export function sayLoaded(): void {
  parentPort?.postMessage(LOADED, []);
}
