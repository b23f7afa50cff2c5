import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What tells a program its addresses before it starts. */
const variable = 'CONNECTIONBUDGET_SOURCE_ADDRESSES';
const destination = '/run/connectionbudget/source-addresses';

/** A part of a ContainerAdjustment. */
interface Told {
  readonly env: { readonly key: string; readonly value: string }[];
  readonly mounts: {
    readonly destination: string;
    readonly type: string;
    readonly source: string;
    readonly options: string[];
  }[];
}

/** As runtimes make them (64 hex digits). */
const sandboxIdPattern = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** Files of the node, one for each pod with further addresses, that are mounted into its containers. */
export class AddressFiles {
  readonly #folder: string;

  /** A folder that the node and the agent see under the same path. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A line for each address. Throws what node:fs throws. */
  write(sandboxId: string, addresses: readonly string[]): void {
    const folder = this.#folderOf(sandboxId);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const file = join(folder, 'source-addresses');
    writeFileSync(`${file}.new`, addresses.map((address) => `${address}\n`).join(''), { mode: 0o644 });
    renameSync(`${file}.new`, file);
  }

  remove(sandboxId: string): void {
    rmSync(this.#folderOf(sandboxId), { recursive: true, force: true });
  }

  /** Of pods that ended while no agent was there. */
  removeAllBut(alive: ReadonlySet<string>): void {
    for (const name of this.#names()) if (!alive.has(name) && sandboxIdPattern.test(name)) this.remove(name);
  }

  /** Environment and mount for a container; undefined for a pod without further addresses. */
  adjustmentFor(sandboxId: string, addresses: readonly string[]): Told | undefined {
    if (addresses.length === 0) return undefined;
    const source = join(this.#folderOf(sandboxId), 'source-addresses');
    return {
      env: [{ key: variable, value: addresses.join(',') }],
      mounts: [{ destination, type: 'bind', source, options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec'] }],
    };
  }

  #folderOf(sandboxId: string): string {
    if (sandboxIdPattern.test(sandboxId)) return join(this.#folder, sandboxId);
    throw new Error(`${JSON.stringify(sandboxId)} is no id of a sandbox`);
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#folder);
    } catch {
      return [];
    }
  }
}
