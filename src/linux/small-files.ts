import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs';

/** Files that other programs of the node write: never more is read than such a file may hold, and never a pipe. */

const largestBytes = 256 * 1024;

/** Sorted; undefined where the folder is not there, is none, or may not be read. */
export function listFolder(folder: string): readonly string[] | undefined {
  return orUndefined(() => readdirSync(folder).toSorted());
}

/** Undefined where there is no regular file, it may not be read, or it is larger than 256 KiB. */
export function readSmallFile(path: string): { readonly text: string; readonly modifiedAtMs: number } | undefined {
  return orUndefined(() => {
    // O_NONBLOCK: a FIFO would hold this thread for ever.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return readOpen(fd);
    } finally {
      closeSync(fd);
    }
  });
}

function readOpen(fd: number): { readonly text: string; readonly modifiedAtMs: number } | undefined {
  const stats = fstatSync(fd);
  if (!stats.isFile() || stats.size > largestBytes) return undefined;
  const buffer = Buffer.alloc(stats.size);
  const bytes = readSync(fd, buffer, 0, stats.size, 0);
  return { text: buffer.toString('utf8', 0, bytes), modifiedAtMs: stats.mtimeMs };
}

function orUndefined<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
