import { sleep } from '../../../src/kube/deadline.ts';
import type { CannedAnswer, FaultProxy, Garbling } from '../../kube/fault-proxy.ts';
import { type Fault, secondsText } from './fault.ts';

/** What happens between list-and-watches and the server. Only the soak's own caches are behind the proxy. */

const status = (code: number, reason: string): string =>
  JSON.stringify({ kind: 'Status', apiVersion: 'v1', code, reason, message: reason });

const answers: readonly CannedAnswer[] = [
  { status: 410, body: status(410, 'Expired') },
  { status: 429, headers: { 'retry-after': '1' }, body: status(429, 'TooManyRequests') },
  { status: 500, body: status(500, 'InternalError') },
  { status: 503, headers: { 'retry-after': '1' }, body: 'no healthy upstream' },
];

const atOnce = (what: string, act: (proxy: FaultProxy) => void): Fault => ({
  kind: `streams: ${what}`,
  stopsTheClock: false,
  inflict: async ({ proxy }) => {
    act(proxy);
    return '';
  },
});

/** Three of the watches that come back after the cut are answered so. */
const answered = (answer: CannedAnswer): Fault =>
  atOnce(`${answer.status} by HTTP`, (proxy) => {
    for (let each = 0; each < 3; each += 1) proxy.answerNext(/watch=true/, answer);
    proxy.cut();
  });

const inStream: readonly (readonly [string, string])[] = [
  ['410', `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`],
  ['500', `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 500, message: 'etcd is away' } })}\n`],
  ['garbage', '}{ no event\n'],
  ['half an event', '{"type":"MODIFIED","object":{"metad'],
];

const injected = ([name, text]: readonly [string, string]): Fault =>
  atOnce(`${name} inside`, (proxy) => proxy.inject(text));

/** Never another bit alone: what is still JSON could be taken for an object that was none. */
const garblings: readonly (readonly [string, Garbling])[] = [
  ['zeros', (chunk) => Buffer.concat([chunk.subarray(0, chunk.length / 2), Buffer.alloc(chunk.length / 2)])],
  ['half a piece', (chunk) => chunk.subarray(0, chunk.length / 2)],
];

const garbled = ([name, garbling]: readonly [string, Garbling]): Fault =>
  atOnce(name, (proxy) => proxy.garble(garbling));

const late: Fault = {
  kind: 'streams: late',
  stopsTheClock: false,
  inflict: async ({ proxy, signal }, random) => {
    const [lateMs, lastsMs] = [random.between(100, 2000), random.between(2000, 8000)];
    proxy.setDelayMs(lateMs);
    await sleep(lastsMs, signal);
    proxy.setDelayMs(0);
    return `by ${secondsText(lateMs)} for ${secondsText(lastsMs)}`;
  },
};

const down: Fault = {
  kind: 'streams: no server',
  stopsTheClock: false,
  inflict: async ({ proxy, signal }, random) => {
    const downMs = random.between(500, 5000);
    proxy.setDown(true);
    await sleep(downMs, signal);
    proxy.setDown(false);
    return `for ${secondsText(downMs)}`;
  },
};

export const streamFaults: readonly Fault[] = [
  ...answers.map(answered),
  ...inStream.map(injected),
  ...garblings.map(garbled),
  late,
  atOnce('cut', (proxy) => proxy.cut()),
  atOnce('silent', (proxy) => proxy.stall()),
  down,
];
