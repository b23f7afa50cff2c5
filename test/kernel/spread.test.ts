import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  hundredPorts,
  keptPorts,
  peerIp,
  peerIp6,
  peerPorts,
  podIps,
  podIps6,
  spreadPod,
  startSpreadPod,
} from './spread-setting.ts';

const [port, otherPort] = peerPorts;
const EADDRNOTAVAIL = 99;
const walkedPorts = 100 - keptPorts;
const portOf = (source: string): number => Number(source.split(' ')[1]);
const addressOf = (source: string): string => source.split(' ')[0] ?? '';

/** Longer than the walk remembers that it was full. */
const settleMs = 80;

describe('an unmodified program', () => {
  it.each([
    { family: 'IPv4', to: peerIp, addresses: podIps(1) },
    { family: 'IPv4', to: peerIp, addresses: podIps(4) },
    { family: 'IPv6', to: peerIp6, addresses: podIps6(4) },
    { family: 'IPv4 by a socket of IPv6', to: `::ffff:${peerIp}`, addresses: podIps(3) },
  ])('has every port of each of $addresses by $family, and no more', async ({ to, addresses }) => {
    await using pod = await startSpreadPod(spreadPod({ addresses }));
    const walked = addresses.length * walkedPorts;
    const total = addresses.length * 100;
    expect(await pod.connector.open(to, port, walked)).toMatchObject({ opened: walked, errno: 0 });
    const ports = (await pod.connector.sources()).map(portOf);
    expect(Math.max(...ports)).toBe(hundredPorts.high - keptPorts);
    expect(pod.statistics()).toEqual({ picked: walked, fellBack: 0, tries: walked });
    expect(await pod.connector.open(to, port, total)).toMatchObject({ opened: total - walked, errno: EADDRNOTAVAIL });
    expect(new Set(await pod.connector.sources()).size).toBe(total);
  });

  it('has them for each destination again', async () => {
    await using pod = await startSpreadPod(spreadPod({ addresses: podIps(2) }));
    for (const to of peerPorts)
      expect(await pod.connector.open(peerIp, to, 500)).toMatchObject({ opened: 200, errno: EADDRNOTAVAIL });
    expect(new Set(await pod.connector.sources()).size).toBe(200);
  });

  it('has them when many processes connect at once', async () => {
    await using pod = await startSpreadPod(spreadPod({ addresses: podIps(2) }));
    const connectors = await Promise.all(Array.from({ length: 4 }, () => pod.setting.start()));
    const opened = await Promise.all(connectors.map((connector) => connector.open(peerIp, port, 40)));
    expect(opened).toEqual(opened.map(() => expect.objectContaining({ opened: 40, errno: 0 })));
    expect(pod.statistics()?.fellBack).toBe(0);
  });

  it('has no two connections on one tuple where many want the last free one', async () => {
    const range = { low: 40_000, high: 40_057 };
    await using pod = await startSpreadPod(spreadPod({ range, keptPorts: 50 }));
    expect(await pod.connector.open(peerIp, port, 7)).toMatchObject({ opened: 7 });
    const connectors = await Promise.all(Array.from({ length: 4 }, () => pod.setting.start()));
    const churned = await Promise.all(connectors.map((connector) => connector.churn(peerIp, port, 4000)));
    expect(churned).toEqual(churned.map(() => ({ opened: 4000, errno: 0, ns: 0 })));
  });

  it('has the addresses alone where the plan leaves ports to the kernel', async () => {
    await using pod = await startSpreadPod(spreadPod({ addresses: podIps(4), chooses: 'Addresses' }));
    expect(await pod.connector.open(peerIp, port, 500)).toMatchObject({ opened: 400, errno: EADDRNOTAVAIL });
    expect(await pod.connector.open(peerIp6, port, 500)).toMatchObject({ opened: 100, errno: EADDRNOTAVAIL });
  });
});

describe('what is left alone', () => {
  it('a port that the pod listens on', async () => {
    await using pod = await startSpreadPod(spreadPod());
    expect(await pod.connector.listen('0.0.0.0', 40_010)).toBe(0);
    expect(await pod.connector.open(peerIp, port, 200)).toMatchObject({ opened: 99, errno: EADDRNOTAVAIL });
    expect((await pod.connector.sources()).map(portOf)).not.toContain(40_010);
  });

  it('reserved ports', async () => {
    const reservedPorts = [40_007, 40_008, 40_009, 40_010];
    await using pod = await startSpreadPod(spreadPod({ reservedPorts }));
    expect(await pod.connector.open(peerIp, port, 200)).toMatchObject({ opened: 96, errno: EADDRNOTAVAIL });
    expect((await pod.connector.sources()).map(portOf).filter((used) => reservedPorts.includes(used))).toEqual([]);
  });

  it('a socket that chose for itself', async () => {
    await using pod = await startSpreadPod(spreadPod({ addresses: podIps(3) }));
    const [, second = ''] = podIps(3);
    await pod.connector.openFrom([second, 0], peerIp, port);
    await pod.connector.openFrom([second, 12_345], peerIp, port);
    await pod.connector.openFrom(['0.0.0.0', 12_346], peerIp, port);
    expect(pod.statistics()).toEqual({ picked: 0, fellBack: 0, tries: 0 });
    const [late = '', ...explicit] = await pod.connector.sources();
    expect(addressOf(late)).toBe(second);
    expect(explicit).toEqual([`${second} 12345`, `${podIps(1)[0]} 12346`]);
  });

  it('connections inside the pod: they start at the loopback address, as without us', async () => {
    await using pod = await startSpreadPod(spreadPod({ addresses: podIps(3) }));
    await pod.connector.listen('127.0.0.1', 5000);
    await pod.connector.listen('::1', 5000);
    expect(await pod.connector.open('127.0.0.1', 5000, 20)).toMatchObject({ opened: 20 });
    expect(await pod.connector.open('::1', 5000, 20)).toMatchObject({ opened: 20 });
    expect(new Set((await pod.connector.sources()).map(addressOf))).toEqual(new Set(['127.0.0.1', '::1']));
  });

  it('a pod without an entry', async () => {
    await using pod = await startSpreadPod(spreadPod({ addresses: podIps(4) }));
    pod.spreader.removePod(pod.setting.cookie);
    expect(pod.spreader.pods()).toEqual([]);
    expect(await pod.connector.open(peerIp, port, 200)).toMatchObject({ opened: 100, errno: EADDRNOTAVAIL });
    expect(new Set((await pod.connector.sources()).map(addressOf))).toEqual(new Set(podIps(1)));
  });
});

describe('TIME_WAIT', () => {
  /** Where the far end sends its FIN twice, on a busy machine, it answers the second ACK by RST, which ends TIME_WAIT (RFC 1337). */
  const notEndedByReset = ['net.ipv4.tcp_rfc1337', '1'] as const;

  it('is respected to its end where the kernel would', async () => {
    await using pod = await startSpreadPod(spreadPod());
    await pod.setting.setSysctl(...notEndedByReset);
    await pod.connector.open(peerIp, port, walkedPorts);
    expect(await pod.connector.close(1, 0, 'fin')).toBe(walkedPorts);
    await delay(1500);
    expect(await pod.connector.open(peerIp, port, 200)).toMatchObject({ opened: keptPorts, errno: EADDRNOTAVAIL });
    expect(await pod.connector.open(peerIp, otherPort, 200)).toMatchObject({ opened: 100 });
  });

  it('is over after the delay where the kernel would reuse it, and not before', async () => {
    await using pod = await startSpreadPod(spreadPod({ timeWaitReuse: { of: 'All', delayMs: 1000 } }));
    await pod.setting.setSysctl('net.ipv4.tcp_tw_reuse', '1');
    await pod.setting.setSysctl(...notEndedByReset);
    await pod.connector.open(peerIp, port, walkedPorts);
    await delay(1100);
    await pod.connector.close(1, 0, 'fin');
    expect(await pod.connector.open(peerIp, port, 200)).toMatchObject({ opened: keptPorts, errno: EADDRNOTAVAIL });
    await delay(1100);
    expect(await pod.connector.open(peerIp, port, 200)).toMatchObject({ opened: walkedPorts, errno: EADDRNOTAVAIL });
  });
});

describe('a walk that has been all around', () => {
  const range = { low: 40_000, high: 41_999 };
  const kept = 100;

  it('finds the holes at 95 %', async () => {
    await using pod = await startSpreadPod(spreadPod({ range, keptPorts: kept }));
    await pod.connector.open(peerIp, port, 1900);
    expect(await pod.connector.close(20, 7, 'reset')).toBe(95);
    await delay(settleMs);
    const before = pod.statistics()!;
    expect(await pod.connector.open(peerIp, port, 95)).toMatchObject({ opened: 95, errno: 0 });
    expect(pod.statistics()).toMatchObject({ picked: before.picked + 95, fellBack: before.fellBack });
  });

  it('finds the very last hole', async () => {
    await using pod = await startSpreadPod(spreadPod({ range, keptPorts: kept }));
    expect(await pod.connector.open(peerIp, port, 3000)).toMatchObject({ opened: 2000 });
    // Its port serves another destination too, so that the kernel's own choice would not take it.
    expect(await pod.connector.open(peerIp, otherPort, 3000)).toMatchObject({ opened: 2000 });
    await pod.connector.close(4000, 1234, 'reset');
    await delay(settleMs);
    expect(await pod.connector.open(peerIp, port, 1)).toMatchObject({ opened: 1, errno: 0 });
    expect(await pod.connector.open(peerIp, port, 1)).toMatchObject({ opened: 0, errno: EADDRNOTAVAIL });
  });

  it('lives with connections that come and go at 90 %', async () => {
    await using pod = await startSpreadPod(spreadPod({ range, keptPorts: kept }));
    await pod.connector.open(peerIp, port, 1710);
    for (let turn = 0; turn < 30; turn += 1) {
      const closed = await pod.connector.close(10, turn % 10, 'reset');
      expect(await pod.connector.open(peerIp, port, closed)).toMatchObject({ opened: closed, errno: 0 });
    }
    expect(pod.statistics()).toMatchObject({ fellBack: 0 });
    expect(new Set(await pod.connector.sources()).size).toBe(1710);
  });
});
