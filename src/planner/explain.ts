import type { Limit, Stage, Terms, Unit } from './limit.ts';

/** Sentences about a plan, with the arithmetic of every number. Nothing here decides anything. */

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** 1234567 is "1,234,567". */
export const numberText = (value: number): string => grouped.format(value);

const byteUnits = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Decimal units with three digits: 2208250000 is "2.21 GB". */
export const bytesText = (value: number): string => {
  const power = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), byteUnits.length - 1);
  return `${Number((value / 1000 ** power).toPrecision(3))} ${byteUnits[power] ?? 'B'}`;
};

/** An amount with its unit: "62,000 ports", "2.21 GB". */
export const amountText = (value: number, unit: Unit): string => {
  if (unit === 'bytes') return bytesText(value);
  return `${numberText(value)} ${unit === 'perSecond' ? 'per second' : unit}`;
};

const shareText = ({ numerator, denominator }: Terms): string => {
  if (numerator === denominator) return '';
  return denominator === 100 ? ` × ${numerator} %` : ` ÷ ${numberText(denominator)}`;
};

/** "2 × (275,000 connections × 10 % + 1,100/s × 10 % × 120 s)", the terms of a limit as they were reckoned. */
const arithmeticText = (terms: Terms, unit: Unit): string => {
  const { sharers, connections, rate, seconds, factor, fixed } = terms;
  const share = shareText(terms);
  const each = unit === 'bytes' ? ` × ${numberText(factor)} B` : ` × ${numberText(factor)}`;
  const parts = [
    ...(connections > 0 ? [`${numberText(connections)} connections${share}${factor === 1 ? '' : each}`] : []),
    ...(rate * seconds > 0 ? [`${numberText(rate)}/s${share} × ${numberText(seconds)} s`] : []),
    ...(fixed > 0 ? [unit === 'bytes' ? bytesText(fixed) : `${numberText(fixed)} reserved`] : []),
  ];
  const sum = parts.length === 0 ? '0' : parts.join(' + ');
  return sharers === 1 ? sum : `${numberText(sharers)} pods × (${sum})`;
};

const places: Readonly<Record<Stage, string>> = {
  Process: 'descriptors of a process of container',
  Socket: 'source ports to the busiest target',
  Namespace: "the pod's network namespace",
  Container: 'memory of container',
  Node: 'the node',
  Sidecar: 'the sidecar',
  NAT: 'address translation',
  LoadBalancer: 'the load balancer',
  Clients: "the clients' ports",
  Destination: 'the far end',
};

/** Where a limit is: "address translation gateway, flow web". */
export const placeText = ({ stage, limit, subject, flow }: Limit): string => {
  const owner = limit === 'fs.nr_open' ? `for container ${subject}` : subject;
  const named = subject === '' ? places[stage].replace(/ of container$/, '') : `${places[stage]} ${owner}`;
  return flow === '' ? named : `${named}, flow ${flow}`;
};

const verdictText = ({ status, capacity, unit, needed }: Limit): string => {
  if (capacity === undefined) return 'unknown here';
  const there = amountText(capacity, unit);
  if (status === 'Sufficient') return `${there} are there: sufficient`;
  if (status === 'Binding') return `only ${there} are there: binds`;
  if (status === 'Raised') return `more than ${there}: raised by the plan`;
  return needed > capacity ? `more than ${there}` : `${there} are there`;
};

/** "2 pods × (…) = 81,400 ports needed; only 62,000 ports are there: binds" */
export const reckoningText = (limit: Limit): string => {
  const { terms, unit, needed } = limit;
  return `${arithmeticText(terms, unit)} = ${amountText(needed, unit)} needed; ${verdictText(limit)}`;
};

/** "address translation node, flow web (TranslatorPorts): " and how it is reckoned. */
export const limitText = (limit: Limit): string => `${placeText(limit)} (${limit.limit}): ${reckoningText(limit)}`;

/** The message of a binding limit: where, the arithmetic, and how many connections fit. */
export const bindingText = (limit: Limit): string => {
  const fits = limit.kind === 'Count' ? `; ${numberText(limit.reachable)} connections fit without headroom` : '';
  return `${limitText(limit)}${fits}`;
};
