import * as z from 'zod';
import type { PodReport } from '../api/connection-node.ts';

/** What is read of it; whatever else an agent of another version has written is left alone. */
const earlierNode = z.object({
  status: z.object({
    pods: z.array(z.object({ uid: z.string(), sectionHash: z.string(), reason: z.string() })),
  }),
});

type PodIdentity = Pick<PodReport, 'uid' | 'sectionHash'>;

/** The pods that an earlier run of the agent has called late: nothing on the node tells that afterwards. */
export class LateBefore {
  #known: ReadonlySet<string> = new Set();

  has(pod: PodIdentity): boolean {
    return this.#known.has(keyOf(pod));
  }

  /** `node` is the ConnectionNode as the API server has it; undefined or without a status: nobody was late. */
  recall(node: unknown): void {
    const { data } = earlierNode.safeParse(node);
    const late = data?.status.pods.filter(({ reason }) => reason === 'AppliedLate') ?? [];
    this.#known = new Set(late.map(keyOf));
  }
}

const keyOf = ({ uid, sectionHash }: PodIdentity): string => `${uid} ${sectionHash}`;
