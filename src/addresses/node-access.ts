/** What a provider needs of the machine; src/linux has the real one. */
export interface NodeAccess {
  /** The names in a folder, sorted; undefined where it cannot be seen. */
  readonly list: (folder: string) => Promise<readonly string[] | undefined>;
  /** A small regular file; undefined where it cannot be seen or is none. */
  readonly read: (path: string) => Promise<SmallFile | undefined>;
  /** Runs a program to its end. Rejects where it cannot be started, or the signal aborts. */
  readonly run: (file: string, options: RunOptions) => Promise<Ended>;
}

export interface SmallFile {
  readonly text: string;
  readonly modifiedAtMs: number;
}

export interface RunOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
  readonly signal: AbortSignal;
}

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}
