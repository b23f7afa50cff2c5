import type { Decoder } from './decoder.ts';
import { addressDecoders } from './decoders/addresses.ts';
import { agentDecoders } from './decoders/agent.ts';
import { cliDecoders } from './decoders/cli.ts';
import { kubeDecoders } from './decoders/kube.ts';
import { linuxDecoders } from './decoders/linux.ts';
import { nriDecoders } from './decoders/nri.ts';
import { ttrpcDecoders } from './decoders/ttrpc.ts';
import { webhookDecoders } from './decoders/webhook.ts';

/** Everything that takes bytes or text from elsewhere. */
export const decoders: readonly Decoder[] = [
  ...ttrpcDecoders,
  ...nriDecoders,
  ...webhookDecoders,
  ...agentDecoders,
  ...kubeDecoders,
  ...linuxDecoders,
  ...addressDecoders,
  ...cliDecoders,
];
