import { X509Certificate } from 'node:crypto';
import type { KubeClient } from '../kube/client.ts';
import { keepCaBundle } from './ca-bundle.ts';
import {
  caBundleOf,
  type CertificatePolicy,
  certificateSet,
  type CertificateSet,
  defaultCertificatePolicy,
  nextCertificateSet,
  successorOf,
} from './certificate-set.ts';
import { keepSecretDocument, type SecretDocument } from './secret-document.ts';

/** The server's certificate: made, renewed, and made known to the API servers before it is shown. */

export interface CertificateStoreOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly secretName: string;
  readonly mutatingConfiguration: string;
  readonly validatingConfiguration: string;
  /** DNS names and IPv4 addresses by which API servers call. */
  readonly hosts: readonly string[];
  readonly policy?: CertificatePolicy;
  /** Default Date.now. */
  readonly nowMs?: () => number;
}

/** PEM, as node:tls takes it. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
  readonly expiresAtMs: number;
}

export interface CertificateStore {
  /** Reads or renews the certificate; the very same value where nothing changed. */
  readonly refresh: (signal: AbortSignal) => Promise<ServerCertificate>;
  /** Makes the API servers trust it; true where a wrong caBundle was found. After a refresh. */
  readonly keepTrusted: (signal: AbortSignal) => Promise<boolean>;
}

export const createCertificateStore = (options: CertificateStoreOptions): CertificateStore => {
  const { client, namespace, secretName, hosts, policy = defaultCertificatePolicy, nowMs = Date.now } = options;
  let known: CertificateSet | undefined;
  const document: SecretDocument<CertificateSet> = {
    client,
    namespace,
    name: secretName,
    schema: certificateSet,
    next: (set) => {
      const moment = { nowMs: nowMs(), hosts, policy };
      return set === undefined && known !== undefined ? successorOf(known, moment) : nextCertificateSet(set, moment);
    },
  };
  let loaded: ServerCertificate | undefined;
  return {
    refresh: async (signal) => {
      const { now } = await keepSecretDocument(document, signal);
      known = now;
      if (loaded?.cert !== now.server.certificate) loaded = serverCertificate(now);
      return loaded;
    },
    keepTrusted: async (signal) => known !== undefined && (await keepCaBundle(options, caBundleOf(known), signal)),
  };
};

const serverCertificate = ({ server }: CertificateSet): ServerCertificate => ({
  cert: server.certificate,
  key: server.privateKey,
  expiresAtMs: new X509Certificate(server.certificate).validToDate.getTime(),
});
