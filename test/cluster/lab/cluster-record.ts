import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { hasCode } from './lab-error.ts';
import { slotCount } from './network-plan.ts';

/** What must be known to take a cluster away again; written before anything of it is made. */
const recordSchema = z.object({
  slot: z
    .int()
    .min(0)
    .max(slotCount - 1),
  complete: z.boolean(),
});
export type ClusterRecord = Readonly<z.infer<typeof recordSchema>>;

/** A name that fits a network interface (15 characters) and differs between folders: /a/b → cb-1f0c2d3e */
export function instanceOf(dir: string): string {
  return `cb-${createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 8)}`;
}

export function readClusterRecord(dir: string): ClusterRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(recordFile(dir), 'utf8')));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export function writeClusterRecord(dir: string, record: ClusterRecord): void {
  const file = recordFile(dir);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, JSON.stringify(record));
  renameSync(`${file}.new`, file);
}

function recordFile(dir: string): string {
  return join(dir, 'cluster.json');
}
