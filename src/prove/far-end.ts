import type { OutboundFlow } from '../planner/demand.ts';
import { busiestAddressShare } from '../planner/sharing.ts';
import type { Endpoint } from './holder-protocol.ts';
import { spanText } from './topology-text.ts';

/** What some addresses of the peers' take at most. */
export interface FarEndMaximum {
  readonly peers: readonly [first: number, last: number];
  readonly maximum: number;
  /** So many that have the maximum each; undefined: it is that of all together. */
  readonly addresses: number | undefined;
}

export const addressSpan = (ips: readonly number[]): readonly [first: number, last: number] => [
  ips.reduce((a, b) => Math.min(a, b)),
  ips.reduce((a, b) => Math.max(a, b)),
];

export const farEndOf = (flow: OutboundFlow, targets: readonly Endpoint[]): FarEndMaximum | undefined => {
  const { maxConnectionsPerAddress: maximum, farEndAddresses } = flow;
  if (maximum === undefined) return undefined;
  const ips = [...new Set(targets.map(({ ip }) => ip))];
  const peers = addressSpan(ips);
  if (ips.length === farEndAddresses) return { peers, maximum, addresses: ips.length };
  const { numerator, denominator } = busiestAddressShare(flow);
  return { peers, maximum: Math.floor((maximum * denominator) / numerator), addresses: undefined };
};

/** A far end that is full refuses: the connection gets a RST instead of an answer. */
export const farEndRules = (farEnds: readonly FarEndMaximum[]): string => {
  if (farEnds.length === 0) return '';
  const sets = farEnds.flatMap(({ addresses }, at) =>
    addresses === undefined ? [] : [`  set full-${at} { type ipv4_addr; size ${addresses}; flags dynamic; }`],
  );
  const rules = farEnds.map(({ peers, maximum, addresses }, at) => {
    const over = `ct count over ${maximum}`;
    const full = addresses === undefined ? over : `add @full-${at} { ip daddr ${over} }`;
    return `    ip daddr ${spanText(peers)} tcp flags syn ct state new ${full} reject with tcp reset`;
  });
  return [
    'table ip proof {',
    ...sets,
    '  chain admit {',
    '    type filter hook input priority filter;',
    ...rules,
    '  }',
    '}',
    '',
  ].join('\n');
};
