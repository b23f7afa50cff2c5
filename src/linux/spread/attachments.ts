import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { LinuxError, linuxErrorFrom } from '../linux-error.ts';
import type { BpfObject } from '../bpf/bpf-object.ts';
import { type Hook, hooks, type Libbpf } from '../bpf/libbpf.ts';

// linux/magic.h
const CGROUP2_SUPER_MAGIC = 0x6367_7270;

export type AttachedForm = 'Tuples' | 'Addresses';

export const programNames: Readonly<Record<AttachedForm, Readonly<Record<Hook, string>>>> = {
  Tuples: { Connect4: 'spread4', Connect6: 'spread6' },
  Addresses: { Connect4: 'addresses4', Connect6: 'addresses6' },
};
const ownNames: ReadonlySet<string | undefined> = new Set(Object.values(programNames).flatMap(Object.values<string>));

export interface Attached {
  readonly form: AttachedForm;
  /** Why the form is not the better one; undefined: it is. */
  readonly reason: string | undefined;
}

/** Links between cgroups and our programs. With a directory (in a bpffs) they are pinned there and outlive the process. */
export class Attachments {
  readonly #bpf: Libbpf;
  readonly #directory: string | undefined;
  readonly #programs: BpfObject['programs'];
  /** By the name of the pin: id of the cgroup and hook. */
  readonly #links = new Map<string, number>();

  constructor(bpf: Libbpf, directory: string | undefined, programs: BpfObject['programs']) {
    this.#bpf = bpf;
    this.#directory = directory;
    this.#programs = programs;
    if (directory !== undefined) this.#openPinned(directory);
  }

  /** Attaches below whatever `best` allows; a program that is attached already is replaced without a gap. */
  attach(cgroupPath: string, best: Attached): Attached {
    const { fd, id } = openCgroup(cgroupPath);
    try {
      const attached = this.#formFor(fd, best);
      for (const hook of hooks) this.#attachTo(fd, `${id}-${hook}`, { hook, form: attached.form });
      return attached;
    } finally {
      closeSync(fd);
    }
  }

  /** false: there was nothing of ours. */
  detach(cgroupPath: string): boolean {
    const { fd, id } = openCgroup(cgroupPath);
    closeSync(fd);
    const dropped = hooks.map((hook) => this.#drop(`${id}-${hook}`));
    return dropped.includes(true);
  }

  /** Ends the links of cgroups that are gone. */
  prune(): void {
    for (const [name, link] of this.#links) if (this.#bpf.linkedCgroup(link) === 0n) this.#drop(name);
  }

  close(): void {
    for (const link of this.#links.values()) closeSync(link);
    this.#links.clear();
  }

  remove(): void {
    for (const name of this.#links.keys()) this.#drop(name);
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
  }

  #openPinned(directory: string): void {
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) this.#links.set(name, this.#bpf.openPinned(join(directory, name)));
    this.prune();
  }

  #attachTo(cgroup: number, name: string, { hook, form }: { readonly hook: Hook; readonly form: AttachedForm }): void {
    const program = this.#programs.get(programNames[form][hook]) ?? -1;
    const known = this.#links.get(name);
    if (known !== undefined) {
      this.#bpf.updateLink(known, program);
      return;
    }
    const link = this.#bpf.link(program, cgroup, hook);
    this.#links.set(name, link);
    if (this.#directory !== undefined) this.#bpf.pin(link, join(this.#directory, name));
  }

  #drop(name: string): boolean {
    const link = this.#links.get(name);
    if (link === undefined) return false;
    if (this.#directory !== undefined) rmSync(join(this.#directory, name), { force: true });
    closeSync(link);
    return this.#links.delete(name);
  }

  /**
   * Whoever else is at the hook may rewrite the destination after us, as socket load balancers do; a tuple chosen for another
   * destination is none. The address stays right: the kernel picks the port for the real destination.
   */
  #formFor(cgroup: number, best: Attached): Attached {
    if (best.form === 'Addresses') return best;
    const ids = hooks.flatMap((hook) => this.#bpf.effectivePrograms(cgroup, hook));
    const names = ids
      .map((id) => this.#bpf.programName(id))
      .filter((name) => name !== undefined && !ownNames.has(name));
    if (names.length === 0) return best;
    return {
      form: 'Addresses',
      reason: `another program is at connect() and may rewrite destinations (eBPF program ${[...new Set(names)].join(', ')}): ports are left to the kernel`,
    };
  }
}

/** The id of a cgroup is the number of its inode (cgroups(7), kernfs). */
function openCgroup(path: string): { readonly fd: number; readonly id: bigint } {
  try {
    if (statfsSync(path).type !== CGROUP2_SUPER_MAGIC)
      throw new LinuxError({ kind: 'InvalidInput', syscall: 'bpf', message: `${path} is no cgroup of version 2` });
    return { fd: openSync(path, 'r'), id: statSync(path, { bigint: true }).ino };
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'open', attempt: `open the cgroup ${path}`, kinds: { ENOENT: 'Gone' } });
  }
}
