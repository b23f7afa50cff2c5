import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const checkout = fileURLToPath(new URL('..', import.meta.url));
const protoFolders = ['src/ttrpc', 'src/nri'] as const;

/**
 * Generates the messages of every .proto file below `outputRoot`, laid out as in the checkout (src/nri/gen, …); with the
 * checkout as root it refreshes what is committed. buf and its plugin come from node_modules; nothing is downloaded.
 */
export async function generateProto(outputRoot: string): Promise<void> {
  for (const folder of protoFolders) {
    const output = join(outputRoot, folder);
    await rm(join(output, 'gen'), { recursive: true, force: true });
    await buf(['generate', folder, '--template', `${folder}/buf.gen.yaml`, '--output', output]);
  }
}

async function buf(parameters: readonly string[]): Promise<void> {
  await promisify(execFile)(process.execPath, ['node_modules/@bufbuild/buf/bin/buf', ...parameters], { cwd: checkout });
}
