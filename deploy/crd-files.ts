import { stringify } from 'yaml';
import { connectionBudgetCrd, connectionNodeCrd } from '../src/api/crd.ts';

/** A file that is written by a program, and never by hand. The path is relative to the checkout. */
export type GeneratedFile = { readonly path: string; readonly text: string };

const header = '# Generated from src/api by `npm run generate`. Do not edit.\n';

/** crds/NAME.yaml for kubectl, and the same as templates of the chart, which may leave them out or keep them. */
export function crdFiles(): readonly GeneratedFile[] {
  return [connectionBudgetCrd(), connectionNodeCrd()].flatMap((crd) => {
    const name = nameOf(crd);
    const text = stringify(crd, { aliasDuplicateObjects: false, lineWidth: 0 });
    const file = `${name.split('.', 1)[0]}.yaml`;
    return [
      { path: `crds/${file}`, text: `${header}${text}` },
      { path: `deploy/chart/templates/crds/${file}`, text: templateOf(name, text) },
    ];
  });
}

function nameOf({ metadata }: ReturnType<typeof connectionBudgetCrd>): string {
  const { name } = metadata as { readonly name: string };
  return name;
}

/** The text of a CRD is not a template: braces in a description would be read by helm. */
function templateOf(name: string, text: string): string {
  if (text.includes('{{')) throw new Error(`the schema of ${name} holds "{{", which helm would take for its own`);
  const metadata = `metadata:\n  name: ${name}\n`;
  if (!text.includes(metadata)) throw new Error(`the CRD ${name} has other metadata than a name`);
  const kept = `${metadata}  {{- if .Values.crds.keep }}\n  annotations: {helm.sh/resource-policy: keep}\n  {{- end }}\n`;
  return `${header}{{- if .Values.crds.install }}\n${text.replace(metadata, kept)}{{- end }}\n`;
}
