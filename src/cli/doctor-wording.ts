import { amountText, numberText } from '../planner/explain.ts';
import type { UsedLimit } from './doctor-limits.ts';

/** How much of a limit is used: 0 to 1, or more where it was lowered below its use; 0 where it is unknown. */
export const shareOf = ({ used, capacity }: UsedLimit): number =>
  used === null || capacity === null ? 0 : used / Math.max(1, capacity);

/** "85 %", rounded down: 100 % is full. */
export const percentText = (limit: UsedLimit): string => `${Math.floor(shareOf(limit) * 100)} %`;

/** Where a limit is, behind its number: "to 10.0.0.5:9092", "in process 4711 (gateway)". */
const placeText = ({ limit, subject, scope }: UsedLimit): string => {
  if (limit === 'net.ipv4.ip_local_port_range') return `to ${subject}`;
  if (limit === 'RLIMIT_NOFILE') return `in ${subject}`;
  if (limit === 'AcceptQueue') return `in the accept queue of ${subject}`;
  return `of ${limit} (${scope === 'Node' ? 'the machine' : 'the namespace'})`;
};

/** "24,100 of 28,232 ports to 10.0.0.5:9092" */
export const shareText = (limit: UsedLimit): string => {
  const { used, capacity, unit } = limit;
  const share = used === null ? '?' : numberText(used);
  return `${share} of ${capacity === null ? '?' : amountText(capacity, unit)} ${placeText(limit)}`;
};

/** "24,100 of 28,232 ports to 10.0.0.5:9092; 4,132 left" */
export const useText = (limit: UsedLimit): string =>
  `${shareText(limit)}; ${limit.left === null ? '?' : numberText(limit.left)} left`;
