import { type Profiler, Session } from 'node:inspector';

/** Which blocks of src have run, and about how often, as V8 counts them. */
export class Coverage implements Disposable {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Since the last call. */
  take(): ReadonlySet<string> {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // The session is of this thread, so it answers before it returns.
    this.#session.post('Profiler.takePreciseCoverage', (_error, { result }) => {
      scripts = result;
    });
    return new Set(scripts.filter(({ url }) => url.includes('/src/')).flatMap(blocksOf));
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }
}

const blocksOf = ({ url, functions }: Profiler.ScriptCoverage): readonly string[] =>
  functions
    .flatMap(({ ranges }) => ranges)
    .filter(({ count }) => count > 0)
    .map(({ startOffset, endOffset }) => `${url} ${startOffset} ${endOffset}`);
