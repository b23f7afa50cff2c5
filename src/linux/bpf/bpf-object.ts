import type * as Koffi from 'koffi';

import { LinuxError, linuxErrorForErrno } from '../linux-error.ts';

export interface LoadRequest {
  readonly path: string;
  /** The programs to load, by name; the others of the object are left out. */
  readonly programs: readonly string[];
  /** Maps to use instead of new ones, by name: their descriptors. */
  readonly maps: ReadonlyMap<string, number>;
}

/** What the kernel took: descriptors by name, which `close` closes. */
export interface BpfObject {
  readonly programs: ReadonlyMap<string, number>;
  readonly maps: ReadonlyMap<string, number>;
  readonly close: () => void;
}

type Pointer = unknown;
type Call = (...args: readonly unknown[]) => number;
type PointerCall = (...args: readonly Pointer[]) => Pointer;

// The kernel's verifier says why in its last lines; what comes before it is of no use here.
const logBytes = 1 << 20;

/** Loads an object that was compiled before, by libbpf, which finds the kernel's own structures by /sys/kernel/btf. */
export function objectLoader(koffi: typeof Koffi, library: Koffi.LibraryHandle): (request: LoadRequest) => BpfObject {
  const open = objectOpener(koffi, library);
  const close: PointerCall = library.func('void bpf_object__close(void *)');
  const load: Call = library.func('int bpf_object__load(void *)');
  const programs = programsOf(library);
  const maps = mapsOf(library);
  return (request) => {
    const { object, log } = open(request.path);
    try {
      for (const { name, setAutoload } of programs(object)) setAutoload(request.programs.includes(name));
      for (const { name, reuse } of maps(object)) reuse(request.maps.get(name));
      const failed = load(object);
      if (failed < 0) throw refusedLoad(-failed, request, log.toString('latin1'));
      const wanted = programs(object).filter(({ name }) => request.programs.includes(name));
      return {
        programs: new Map(wanted.map(({ name, fd }) => [name, fd()])),
        maps: new Map(maps(object).map(({ name, fd }) => [name, fd()])),
        close: () => void close(object),
      };
    } catch (error) {
      close(object);
      throw error;
    }
  };
}

function objectOpener(koffi: typeof Koffi, library: Koffi.LibraryHandle) {
  // struct bpf_object_open_opts of libbpf 1.0; a library that is newer takes `sz` as the version.
  const options = koffi.struct({
    sz: 'size_t',
    object_name: 'void *',
    relaxed_maps: 'bool',
    pin_root_path: 'void *',
    unused: 'uint32_t',
    kconfig: 'void *',
    btf_custom_path: 'void *',
    kernel_log_buf: 'void *',
    kernel_log_size: 'size_t',
    kernel_log_level: 'uint32_t',
  });
  const open: PointerCall = library.func('bpf_object__open_file', 'void *', ['str', koffi.pointer(options)]);
  return (path: string) => {
    const log = Buffer.alloc(logBytes);
    const rest = { object_name: null, relaxed_maps: false, pin_root_path: null, unused: 0 };
    const logging = { kernel_log_buf: log, kernel_log_size: logBytes, kernel_log_level: 0 };
    const settings = { sz: koffi.sizeof(options), ...rest, kconfig: null, btf_custom_path: null, ...logging };
    const object = open(path, settings);
    if (object === null)
      throw linuxErrorForErrno(koffi.errno(), { syscall: 'open', attempt: `open the eBPF object ${path}` });
    return { object, log };
  };
}

function programsOf(library: Koffi.LibraryHandle) {
  const next: PointerCall = library.func('void *bpf_object__next_program(void *, void *)');
  const nameOf: PointerCall = library.func('str bpf_program__name(void *)');
  const setAutoload: PointerCall = library.func('int bpf_program__set_autoload(void *, bool)');
  const fdOf: Call = library.func('int bpf_program__fd(void *)');
  return (object: Pointer) =>
    partsOf(object, next).map((program) => ({
      name: String(nameOf(program)),
      setAutoload: (wanted: boolean) => void setAutoload(program, wanted),
      fd: () => fdOf(program),
    }));
}

function mapsOf(library: Koffi.LibraryHandle) {
  const next: PointerCall = library.func('void *bpf_object__next_map(void *, void *)');
  const nameOf: PointerCall = library.func('str bpf_map__name(void *)');
  const reuse: Call = library.func('int bpf_map__reuse_fd(void *, int)');
  const fdOf: Call = library.func('int bpf_map__fd(void *)');
  return (object: Pointer) =>
    partsOf(object, next).map((map) => ({
      name: String(nameOf(map)),
      reuse: (fd: number | undefined) => (fd === undefined ? 0 : reuse(map, fd)),
      fd: () => fdOf(map),
    }));
}

function partsOf(object: Pointer, next: PointerCall): readonly Pointer[] {
  const parts: Pointer[] = [];
  for (let part = next(object, null); part !== null; part = next(object, part)) parts.push(part);
  return parts;
}

function refusedLoad(errno: number, { programs }: LoadRequest, log: string): LinuxError {
  const cause = linuxErrorForErrno(errno, { syscall: 'bpf', attempt: `load ${programs.join(', ')}` });
  const lines = log.slice(0, log.indexOf('\0')).trim().split('\n');
  const said = lines.findLast((line) => line !== '' && !/^(processed \d|-- END|verification time)/.test(line));
  const message = said === undefined || said === '' ? cause.message : `${cause.message} (${said})`;
  return new LinuxError({ kind: cause.kind, syscall: cause.syscall, errno, message }, { cause });
}

/** The descriptor of a map. Throws LinuxError NotFound. */
export function mapOf(maps: ReadonlyMap<string, number>, name: string): number {
  const fd = maps.get(name);
  if (fd !== undefined) return fd;
  throw new LinuxError({ kind: 'NotFound', syscall: 'bpf', message: `the eBPF object has no map ${name}` });
}
