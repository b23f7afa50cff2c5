import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { printable } from '../api/printable.ts';
import { LinuxError, linuxErrorFrom } from '../linux/linux-error.ts';
import { readProcess, readProcessFile } from '../linux/proc.ts';
import { CannotHereError } from './cannot-here.ts';
import { InputError } from './input-file.ts';

/** What the doctor looks at: this machine, a process with all below it, or whoever is in a network namespace. */
export interface Target {
  readonly kind: 'Machine' | 'Process' | 'Namespace';
  readonly pid: number | null;
  readonly command: string | null;
  /** Of its network namespace; this program's own one need not be entered, and an ordinary user could not. */
  readonly netnsPath: string;
  readonly netnsInode: number;
  readonly isOwnNamespace: boolean;
}

export interface TargetOptions {
  readonly pid?: string | undefined;
  readonly netns?: string | undefined;
}

const ownNamespace = '/proc/self/ns/net';

/** Where iproute2 keeps the namespaces that have a name (ip-netns(8)). */
const namedNamespaces = '/run/netns';

const inodeOf = (netnsPath: string): number => {
  try {
    return statSync(netnsPath).ino;
  } catch (error) {
    throw linuxErrorFrom(error, {
      syscall: 'stat',
      attempt: `look at ${netnsPath}`,
      kinds: { ENOENT: 'Gone', ENOTDIR: 'Gone' },
    });
  }
};

const namespaceOf = (netnsPath: string): Pick<Target, 'netnsPath' | 'netnsInode' | 'isOwnNamespace'> => {
  const netnsInode = inodeOf(netnsPath);
  return { netnsPath, netnsInode, isOwnNamespace: netnsInode === inodeOf(ownNamespace) };
};

const processTarget = (text: string): Target => {
  const pid = Number(text);
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InputError(`--pid ${text}: must be the number of a process`);
  readProcess(pid);
  const command = printable(readProcessFile(pid, 'comm').trim());
  return { kind: 'Process', pid, command, ...namespaceOf(`/proc/${pid}/ns/net`) };
};

const namespaceTarget = (text: string): Target => {
  const path = text.includes('/') ? resolve(text) : `${namedNamespaces}/${text}`;
  if (text === '' || text.includes('\0')) throw new InputError(`--netns ${text}: must be a name or a path`);
  return { kind: 'Namespace', pid: null, command: null, ...namespaceOf(path) };
};

/**
 * Who asked for something that is not there gets exit status 2; who lacks a right, 4 with what would help.
 * Anything else stays what it was.
 */
export const explainedFor = ({ pid, netns }: TargetOptions, error: unknown): unknown => {
  if (!(error instanceof LinuxError)) return error;
  const asked = pid === undefined ? `--netns ${netns ?? ''}` : `--pid ${pid}`;
  const isAsked = pid !== undefined || netns !== undefined;
  if (isAsked && error.kind === 'Gone')
    return new InputError(`${asked}: ${pid === undefined ? 'no such namespace' : 'no such process'}`, { cause: error });
  if (isAsked && error.kind === 'InvalidInput')
    return new InputError(`${asked}: is no network namespace`, { cause: error });
  if (error.kind === 'NotPermitted')
    return new CannotHereError(
      `${error.message}: another network namespace takes CAP_SYS_ADMIN, another user's process CAP_SYS_PTRACE; run it as root`,
      { cause: error },
    );
  if (error.kind === 'NotFound')
    return new CannotHereError(`${error.message}: this kernel does not tell its sockets (CONFIG_INET_DIAG)`, {
      cause: error,
    });
  return error;
};

/** @throws InputError, LinuxError */
export const findTarget = ({ pid, netns }: TargetOptions): Target => {
  if (pid !== undefined && netns !== undefined) throw new InputError('--pid and --netns: must not be given together');
  if (pid !== undefined) return processTarget(pid);
  if (netns !== undefined) return namespaceTarget(netns);
  return { kind: 'Machine', pid: null, command: null, ...namespaceOf(ownNamespace) };
};
