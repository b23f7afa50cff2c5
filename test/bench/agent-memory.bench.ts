// What the agent's process holds: at rest, with planned pods, and after pods came and went for a while.
// Run: npm run bench -- agent-memory [PODS] [PER SECOND] [SECONDS] (as root)
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { AgentSetting, measure } from './agent/setting.ts';

const [pods = 250, perSecond = 10, seconds = 600] = process.argv.slice(2).map(Number);
const restMs = 20_000;

/** proc_pid_smaps(5): Rss is all of it; Anonymous is its own, the rest are pages of files that processes share. */
function mebibytesOf(pid: number, field: 'Rss' | 'Anonymous'): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024;
}

async function look(phase: string, pid: number): Promise<void> {
  await pause(restMs);
  const [rss, anonymous] = [mebibytesOf(pid, 'Rss'), mebibytesOf(pid, 'Anonymous')];
  const figures = [rss, anonymous, rss - anonymous].map((value) => value.toFixed(1));
  process.stdout.write(`${phase.padEnd(10)} ${figures[0]} MiB: ${figures[1]} its own, ${figures[2]} of files\n`);
}

using setting = new AgentSetting();
await setting.prepare();
await measure(setting, { pods, perSecond, seconds }, { start: () => setting.startAgent(), look });
