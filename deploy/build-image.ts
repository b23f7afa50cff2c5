import { mkdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ensureImage, writeRootfs } from './image.ts';
import { imageContents, programs } from './image-contents.ts';

/**
 * `npm run image`: messages on standard error, and on standard output two lines for scripts, IMAGE=… and ARCHIVE=….
 * `--rootfs DIRECTORY` writes the image's files there instead, for a Containerfile.
 */

const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.once('SIGTERM', () => interrupted.abort());

try {
  const { values } = parseArgs({ options: { rootfs: { type: 'string' } } });
  await (values.rootfs === undefined ? printImage(interrupted.signal) : layOut(values.rootfs, interrupted.signal));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function printImage(signal: AbortSignal): Promise<void> {
  const { reference, archive } = await ensureImage({ signal, onProgress: say });
  process.stdout.write(`IMAGE=${reference}\nARCHIVE=${archive}\n`);
}

function say(message: string): void {
  process.stderr.write(`image: ${message}\n`);
}

async function layOut(rootfs: string, signal: AbortSignal): Promise<void> {
  await mkdir(rootfs, { recursive: true });
  await writeRootfs(await imageContents(programs, signal), rootfs, signal);
}
