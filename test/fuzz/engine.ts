import { Coverage } from './coverage.ts';
import type { Decoder } from './decoder.ts';
import { mutateBytes } from './mutate-bytes.ts';
import { mutateJson } from './mutate-json.ts';
import { Random } from './random.ts';

export interface Finding {
  readonly input: Buffer;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly executions: number;
  readonly findings: readonly Finding[];
  readonly slowestMs: number;
  readonly corpus: number;
  readonly blocks: number;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly isOver: (executions: number) => boolean;
  /** Keeps what reaches new code; slower. */
  readonly guided?: boolean;
}

/** For at most 64 KiB; of CPU time, for the machine may be busy. */
const longestMs = 1000;
const mostInBatch = 100;
const mostFindings = 20;

export const fuzz = async (decoder: Decoder, options: FuzzOptions): Promise<FuzzReport> => {
  const run = new Run(decoder, options.seed);
  using coverage = options.guided === true ? new Coverage() : undefined;
  for (const seed of run.corpus) await run.execute(seed);
  const reached = new Set(coverage?.take());
  while (!options.isOver(run.executions) && run.findings.size < mostFindings) {
    const batch = await run.executeBatch(options);
    const newBlocks = coverage?.take().difference(reached) ?? new Set<string>();
    for (const block of newBlocks) reached.add(block);
    if (coverage !== undefined && newBlocks.size > 0) await run.keepReaching(batch, newBlocks, coverage);
  }
  const { executions, findings, slowestMs, corpus } = run;
  return { executions, slowestMs, findings: [...findings.values()], corpus: corpus.length, blocks: reached.size };
};

class Run {
  readonly findings = new Map<string, Finding>();
  readonly corpus: Buffer[];
  executions = 0;
  slowestMs = 0;
  readonly #decoder: Decoder;
  readonly #random: Random;
  readonly #words: readonly Buffer[];

  constructor(decoder: Decoder, seed: number) {
    this.#decoder = decoder;
    this.#random = new Random(seed);
    this.corpus = decoder.seeds.map((entry) => Buffer.from(entry));
    this.#words = [...(decoder.words ?? []), '\0', '\n', '"', '{', '[', '\\'].map((word) => Buffer.from(word));
  }

  next(): Buffer {
    const random = this.#random;
    const input = random.pick(this.corpus);
    const asJson = random.chance(50) ? mutateJson(input, random) : undefined;
    return asJson ?? mutateBytes(input, random, [...this.#words, random.pick(this.corpus)]);
  }

  async execute(input: Buffer): Promise<void> {
    this.executions += 1;
    const startedAtMs = performance.now();
    try {
      await this.#decoder.check(Buffer.from(input));
    } catch (error) {
      this.#found(input, error);
    }
    const tookMs = performance.now() - startedAtMs;
    this.slowestMs = Math.max(this.slowestMs, tookMs);
    if (tookMs > longestMs && (await this.#cpuMs(input)) > longestMs) this.#found(input, new Error('takes too long'));
  }

  async executeBatch({ isOver }: FuzzOptions): Promise<readonly Buffer[]> {
    const batch: Buffer[] = [];
    while (batch.length < mostInBatch && !isOver(this.executions)) {
      const input = this.next();
      batch.push(input);
      await this.execute(input);
    }
    return batch;
  }

  /** Runs inputs that reached new blocks again, half by half, to keep one for each of these blocks. */
  async keepReaching(inputs: readonly Buffer[], blocks: ReadonlySet<string>, coverage: Coverage): Promise<void> {
    for (const input of inputs) await this.execute(input);
    const found = coverage.take().intersection(blocks);
    if (found.size === 0) return;
    if (inputs.length === 1) {
      this.corpus.push(...inputs);
      return;
    }
    const half = Math.ceil(inputs.length / 2);
    const first = inputs.slice(0, half);
    await this.keepReaching(first, found, coverage);
    for (const input of first) await this.execute(input);
    const rest = found.difference(coverage.take());
    await this.keepReaching(inputs.slice(half), rest, coverage);
  }

  async #cpuMs(input: Buffer): Promise<number> {
    const before = process.cpuUsage();
    await Promise.resolve(this.#decoder.check(Buffer.from(input))).catch(() => undefined);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  }

  #found(input: Buffer, error: unknown): void {
    const key = kindOf(error);
    const known = this.findings.get(key);
    if (known === undefined || input.length < known.input.length) this.findings.set(key, { input, error });
  }
}

/** Findings that differ in numbers and quoted texts alone are one. */
const kindOf = (error: unknown): string => {
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const place = /\((?:file:\/\/)?(\S+:\d+):\d+\)/.exec(stack)?.[1] ?? '';
  return `${place} ${message.replaceAll(/"[^"]*"|\d+/g, '#').slice(0, 80)}`;
};
