import { hash, type KeyObject, verify } from 'node:crypto';

import {
  type AnnotationFault,
  decodeAnnotation,
  longestAnnotation,
  type PlanSection,
  sectionHash,
  signedBytes,
} from '../api/pod-annotation.ts';
import { printable } from '../api/printable.ts';

export type PublicKeys = ReadonlyMap<string, KeyObject>;

type PlanFault = AnnotationFault | 'UnknownKey' | 'WrongSignature';

export type JudgedPlan =
  | { readonly state: 'Verified'; readonly section: PlanSection; readonly hash: string }
  | { readonly state: 'Rejected'; readonly fault: PlanFault; readonly message: string };

export type Judge = (annotation: string, namespace: string) => JudgedPlan;

const messages: Readonly<Record<Exclude<PlanFault, 'UnknownKey'>, string>> = {
  TooLarge: `the annotation is ignored: it is longer than ${longestAnnotation} bytes`,
  NotJson: 'the annotation is ignored: it is not JSON',
  Malformed: 'the annotation is ignored: it is not a plan of version 1',
  WrongSignature: 'the annotation is ignored: its signature is not that of the webhook for this content and namespace',
};

const rejected = (fault: Exclude<PlanFault, 'UnknownKey'>): JudgedPlan => ({
  state: 'Rejected',
  fault,
  message: messages[fault],
});

/** Whether the webhook wrote this plan for a pod of this namespace. Never throws, whatever the annotation holds. */
export function judgePlan(annotation: string, namespace: string, keys: PublicKeys): JudgedPlan {
  const decoded = decodeAnnotation(annotation);
  if ('fault' in decoded) return rejected(decoded.fault);
  const { section, signature } = decoded;
  const key = keys.get(section.keyId);
  if (key === undefined) {
    const message = `the annotation is ignored: the key "${printable(section.keyId)}" is unknown here`;
    return { state: 'Rejected', fault: 'UnknownKey', message };
  }
  // Null: Ed25519 has its hash built in (node:crypto).
  const isGenuine = verify(null, signedBytes(section, namespace), key, signature);
  return isGenuine ? { state: 'Verified', section, hash: sectionHash(section) } : rejected('WrongSignature');
}

/** The pods of a Deployment have one annotation: 512 different ones are more than a node's pods. */
const mostRemembered = 512;

/** judgePlan by one set of keys, which judges the same content once (136 µs each time otherwise). */
export function rememberingJudge(keys: PublicKeys): Judge {
  const known = new Map<string, JudgedPlan>();
  return (annotation, namespace) => {
    const content = hash('sha256', `${namespace}\n${annotation}`, 'base64');
    const judged = known.get(content) ?? judgePlan(annotation, namespace, keys);
    known.delete(content);
    known.set(content, judged);
    const [oldest] = known.keys();
    if (known.size > mostRemembered && oldest !== undefined) known.delete(oldest);
    return judged;
  };
}
