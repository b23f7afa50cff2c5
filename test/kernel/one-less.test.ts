import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Demand, InboundFlow, NodeFacts, OutboundFlow } from '../../src/planner/demand.ts';
import type { LimitName } from '../../src/planner/limit.ts';
import { plan } from '../../src/planner/plan.ts';
import { container, demand, inbound, outbound } from '../planner/demands.ts';
import { experiment } from './experiment.ts';
import { makeSite, openPlan, podIp } from './site.ts';

/** With headroom 0: what the planner says is needed suffices, one less does not, by exactly one connection. */
const connections = 40;

const neededOf = (base: Demand, limit: LimitName, facts?: NodeFacts): number =>
  plan(base, facts).limits.find((found) => found.limit === limit)?.needed ?? 0;

const opening = (changes: Partial<OutboundFlow>, pod: Partial<Demand['pod']> = {}): Demand =>
  demand({
    containers: [container({ reservedDescriptors: 50 })],
    pod: { hostNetwork: false, declaredPorts: [], portRange: undefined, kubeletReservesPorts: true, ...pod },
    outbound: [outbound({ connections, ...changes })],
  });
const accepting = (changes: Partial<InboundFlow>): Demand =>
  demand({ containers: [container({ reservedDescriptors: 50 })], inbound: [inbound({ connections, ...changes })] });

const ports = (count: number) => ({ low: 40_000, high: 40_000 + count - 1 });
const nat = (portsPerAddress: number) => [
  {
    type: 'NAT',
    name: 'gateway',
    sharedBy: 'Pod',
    lingerSeconds: 0,
    idleTimeoutSeconds: undefined,
    addresses: 1,
    portsPerAddress,
  } as const,
];

interface Given {
  readonly base: Demand;
  readonly nofile?: number;
}

interface Row {
  readonly what: string;
  readonly limit: LimitName;
  readonly errno: number;
  /** The pod that is given so much of the limit. */
  readonly given: (count: number) => Given;
}

const rows: readonly Row[] = [
  {
    what: 'descriptors of a process',
    limit: 'RLIMIT_NOFILE',
    errno: 24,
    given: (nofile: number) => ({ base: accepting({}), nofile }),
  },
  {
    what: 'ports, the last of them reserved,',
    limit: 'net.ipv4.ip_local_port_range',
    errno: 99,
    given: (count: number) => ({ base: opening({}, { portRange: ports(40), declaredPorts: [40_000 + count] }) }),
  },
  {
    what: 'ports bound early',
    limit: 'net.ipv4.ip_local_port_range',
    errno: 98,
    given: (count: number) => ({
      base: opening(
        { binding: 'Early', destinationAddresses: 3 },
        { portRange: ports(40), declaredPorts: [40_000 + count] },
      ),
    }),
  },
  {
    what: 'ports of the clients',
    limit: 'ClientPorts',
    errno: 99,
    given: (portsPerAddress: number) => ({ base: accepting({ clients: { addresses: 1, portsPerAddress } }) }),
  },
  {
    what: 'ports of a translator',
    limit: 'TranslatorPorts',
    errno: 110,
    given: (portsPerAddress: number) => ({ base: opening({ path: nat(portsPerAddress) }) }),
  },
  {
    what: 'connections of a far end',
    limit: 'MaxConnectionsPerAddress',
    errno: 111,
    given: (maxConnectionsPerAddress: number) => ({ base: opening({ maxConnectionsPerAddress }) }),
  },
];

describe('what is planned suffices, and one less does not', () => {
  it.each(rows)('$what', async ({ limit, errno, given }) => {
    const enough = neededOf(given(connections).base, limit);
    const whole = given(enough);
    const suffices = await experiment(whole.base, whole.nofile);
    expect([suffices.predicted, suffices.seen]).toEqual(
      Array.from({ length: 2 }, () => ({ reached: connections, stoppedBy: null })),
    );
    const short = given(enough - 1);
    const oneLess = await experiment(short.base, short.nofile);
    const stopped = { reached: connections - 1, stoppedBy: { limit, errno } };
    expect([oneLess.predicted, oneLess.seen]).toMatchObject([stopped, stopped]);
  });

  it('explicit ports: an address has 65,535 to a destination', async () => {
    const { predicted, seen } = await experiment(opening({ connections: 65_536, binding: 'Explicit' }), 1_000_000);
    expect(predicted).toEqual({ reached: 65_535, stoppedBy: { stage: 'Socket', limit: 'SourcePorts', errno: 99 } });
    expect(seen).toEqual(predicted);
  });

  it.each([0, 1])('net.core.somaxconn, for the connections that a stall keeps waiting, less %i', async (less) => {
    const base = accepting({ listenBacklog: 8000, opensPerSecond: 4200 });
    const { value = '0' } = plan(base).sysctls.find(({ name }) => name === 'net.core.somaxconn') ?? {};
    await using site = await makeSite({
      sysctls: [{ name: 'net.core.somaxconn', value: String(Number(value) - less) }],
    });
    await site.pod.ask('bind', { ip: 0, port: 9000, backlog: 8000 });
    const toPod = openPlan({ targets: [{ ip: podIp, port: 9000 }] });
    const { established } = await site.peer.ask('open', { plan: toPod, count: 4300, waitMs: 600 });
    expect(established).toBe(neededOf(base, 'AcceptQueue') - less);
  });

  it.each([0, 1])('net.ipv4.tcp_max_tw_buckets, less %i', async (less) => {
    const closed = 60;
    const planned = plan(opening({ closesPerSecond: closed / 61 }), { maxTwBuckets: 10 }).sysctls;
    const name = 'net.ipv4.tcp_max_tw_buckets';
    const { value = '0' } = planned.find((sysctl) => sysctl.name === name) ?? {};
    await using site = await makeSite({ sysctls: [{ name, value: String(Number(value) - less) }] });
    const listener = await site.peer.ask('bind', { ip: 0, port: 9000, backlog: 100 });
    const { fds } = await site.pod.ask('open', { plan: openPlan(), count: closed });
    const accepted = await site.peer.ask('accept', { fd: listener, atMost: closed });
    await site.pod.ask('close', fds);
    await delay(50);
    await site.peer.ask('close', accepted);
    await delay(100);
    expect((await site.pod.counters()).get('TcpExt.TCPTimeWaitOverflow')).toBe(less);
  });
});
