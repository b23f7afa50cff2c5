import type * as Koffi from 'koffi';

import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';

import { type FailedCall, LinuxError, linuxErrorForErrno } from '../linux-error.ts';
import { type BpfObject, type LoadRequest, objectLoader } from './bpf-object.ts';

export type Hook = 'Connect4' | 'Connect6';

/** What libbpf.so.1 (libbpf 1.x) does for us. Maps, programs, links and cgroups are descriptors; all throw LinuxError. */
export interface Libbpf {
  readonly load: (request: LoadRequest) => BpfObject;
  /** false: there is no such key, and `value` is as it was. */
  readonly lookUp: (map: number, key: Buffer, value: Buffer) => boolean;
  readonly update: (map: number, key: Buffer, value: Buffer) => void;
  /** false: there was none. */
  readonly remove: (map: number, key: Buffer) => boolean;
  readonly keys: (map: number, keyBytes: number) => readonly Buffer[];
  readonly pin: (fd: number, path: string) => void;
  readonly openPinned: (path: string) => number;
  readonly link: (program: number, cgroup: number, hook: Hook) => number;
  /** Of a program that iterates over the kernel's own objects (SEC("iter/…")). */
  readonly linkIterator: (program: number) => number;
  /** A file whose reads run the program of the link; of the calling thread's network namespace. */
  readonly openIterator: (link: number) => number;
  readonly updateLink: (link: number, program: number) => void;
  /** The id of the cgroup that a link is attached to; 0: it is gone. */
  readonly linkedCgroup: (link: number) => bigint;
  /** undefined: it has ended. */
  readonly programName: (id: number) => string | undefined;
  /** Ids of the programs that run for sockets of this cgroup, those of its ancestors included. */
  readonly effectivePrograms: (cgroup: number, hook: Hook) => readonly number[];
}

// enum bpf_attach_type of linux/bpf.h.
const attachTypes: Readonly<Record<Hook, number>> = { Connect4: 10, Connect6: 11 };
export const hooks: readonly Hook[] = ['Connect4', 'Connect6'];
const BPF_TRACE_ITER = 28;
const BPF_F_QUERY_EFFECTIVE = 1;
const mostPrograms = 64;
const ENOENT = 2;
// struct bpf_link_info: cgroup.cgroup_id; struct bpf_prog_info: name.
const linkInfo = { bytes: 32, cgroupId: 16 } as const;
const programInfo = { bytes: 80, name: 64 } as const;

let loaded: Libbpf | undefined;

/** Throws LinuxError NotFound where libbpf.so.1 or one of its libraries is missing. */
export function libbpf(): Libbpf {
  loaded ??= bindLibrary();
  return loaded;
}

function bindLibrary(): Libbpf {
  // createRequire keeps a bundler from following the native module: it stays in node_modules beside the bundle.
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const library = openLibrary(koffi);
  // Its warnings would go to standard error; what it says of a failed load is in the error instead.
  library.func('void *libbpf_set_print(void *)')(null);
  const load = objectLoader(koffi, library);
  return { load, ...mapCalls(library), ...pinCalls(library), ...linkCalls(library), ...infoCalls(library) };
}

function openLibrary(koffi: typeof Koffi): Koffi.LibraryHandle {
  try {
    return koffi.load('libbpf.so.1');
  } catch (cause) {
    const message = 'libbpf.so.1 cannot be loaded (Debian package libbpf1)';
    throw new LinuxError({ kind: 'NotFound', syscall: 'dlopen', message }, { cause });
  }
}

type Call = (...args: readonly unknown[]) => number;

function attempting(attempt: string): FailedCall {
  return { syscall: 'bpf', attempt };
}

/** libbpf 1.x returns -errno. */
function checked(result: number, call: FailedCall): number {
  if (result < 0) throw linuxErrorForErrno(-result, call);
  return result;
}

/** false: ENOENT. */
function isThere(result: number, call: FailedCall): boolean {
  return result !== -ENOENT && checked(result, call) >= 0;
}

function mapCalls(library: Koffi.LibraryHandle): Pick<Libbpf, 'lookUp' | 'update' | 'remove' | 'keys'> {
  const lookUp: Call = library.func('int bpf_map_lookup_elem(int, void *, void *)');
  const update: Call = library.func('int bpf_map_update_elem(int, void *, void *, uint64_t)');
  const remove: Call = library.func('int bpf_map_delete_elem(int, void *)');
  const nextKey: Call = library.func('int bpf_map_get_next_key(int, void *, void *)');
  return {
    lookUp: (map, key, value) => isThere(lookUp(map, key, value), attempting('read an entry of an eBPF map')),
    update: (map, key, value) => void checked(update(map, key, value, 0), attempting('write an entry of an eBPF map')),
    remove: (map, key) => isThere(remove(map, key), attempting('remove an entry of an eBPF map')),
    keys: (map, keyBytes) => {
      const keys: Buffer[] = [];
      let key = Buffer.alloc(keyBytes);
      while (isThere(nextKey(map, keys.at(-1) ?? null, key), attempting('list an eBPF map'))) {
        keys.push(key);
        key = Buffer.alloc(keyBytes);
      }
      return keys;
    },
  };
}

function pinCalls(library: Koffi.LibraryHandle): Pick<Libbpf, 'pin' | 'openPinned'> {
  const pin: Call = library.func('int bpf_obj_pin(int, const char *)');
  const get: Call = library.func('int bpf_obj_get(const char *)');
  return {
    pin: (fd, path) => void checked(pin(fd, path), attempting(`pin at ${path}`)),
    openPinned: (path) => checked(get(path), attempting(`open what is pinned at ${path}`)),
  };
}

type LinkCalls = Pick<Libbpf, 'link' | 'linkIterator' | 'openIterator' | 'updateLink' | 'effectivePrograms'>;

function linkCalls(library: Koffi.LibraryHandle): LinkCalls {
  const create: Call = library.func('int bpf_link_create(int, int, int, void *)');
  const iterate: Call = library.func('int bpf_iter_create(int)');
  const update: Call = library.func('int bpf_link_update(int, int, void *)');
  const query: Call = library.func('int bpf_prog_query(int, int, uint32_t, void *, void *, void *)');
  return {
    // A cgroup link shares its hook with others always (BPF_F_ALLOW_MULTI), and ends with its last descriptor or pin.
    link: (program, cgroup, hook) =>
      checked(create(program, cgroup, attachTypes[hook], null), attempting(`attach to ${hook}`)),
    linkIterator: (program) => checked(create(program, 0, BPF_TRACE_ITER, null), attempting('link an iterator')),
    openIterator: (link) => checked(iterate(link), attempting('iterate over sockets')),
    updateLink: (link, program) => void checked(update(link, program, null), attempting('replace an attached program')),
    effectivePrograms: (cgroup, hook) => {
      const ids = new Uint32Array(mostPrograms);
      const count = new Uint32Array([mostPrograms]);
      const flags = new Uint32Array(1);
      const failed = query(cgroup, attachTypes[hook], BPF_F_QUERY_EFFECTIVE, flags, ids, count);
      checked(failed, attempting(`list the programs at ${hook}`));
      return [...ids.subarray(0, count[0])];
    },
  };
}

function infoCalls(library: Koffi.LibraryHandle): Pick<Libbpf, 'linkedCgroup' | 'programName'> {
  const read: Call = library.func('int bpf_obj_get_info_by_fd(int, void *, void *)');
  const openProgram: Call = library.func('int bpf_prog_get_fd_by_id(uint32_t)');
  const infoOf = (fd: number, bytes: number): Buffer => {
    const info = Buffer.alloc(bytes);
    checked(read(fd, info, new Uint32Array([bytes])), attempting('read about a link or program'));
    return info;
  };
  return {
    linkedCgroup: (link) => infoOf(link, linkInfo.bytes).readBigUInt64LE(linkInfo.cgroupId),
    programName: (id) => {
      const fd = openProgram(id);
      if (!isThere(fd, attempting(`open the eBPF program ${id}`))) return undefined;
      const name = infoOf(fd, programInfo.bytes).toString('latin1', programInfo.name);
      closeSync(fd);
      return name.slice(0, name.indexOf('\0'));
    },
  };
}
