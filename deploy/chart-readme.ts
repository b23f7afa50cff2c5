import { isMap, isScalar, parseDocument, type Pair, stringify, type YAMLMap } from 'yaml';

/** The chart's README: how to install, and one row for every value, with the comment that stands above it. */
export function chartReadme(valuesYaml: string): string {
  const values = parseDocument(valuesYaml).contents;
  if (!isMap(values)) throw new Error('values.yaml is no map');
  const rows = rowsOf(values, { path: [], comment: values.commentBefore ?? undefined });
  return [introduction, '| Value | Default | Meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

const introduction = `<!-- Generated from values.yaml by \`npm run generate\`. Do not edit. -->
# Chart of ConnectionBudget

\`\`\`sh
npm run image        # prints IMAGE= and ARCHIVE=; load the archive on the nodes, or push it to your registry
helm install connectionbudget deploy/chart --namespace connectionbudget-system --create-namespace \\
  --set image.repository=REPOSITORY --set image.tag=TAG
kubectl label namespace NAMESPACE connectionbudget.io/enabled=true
\`\`\`

One release per cluster: the names of its objects are fixed. helm 3 or 4, Kubernetes 1.30 or newer, containerd 2 or CRI-O
1.28 with NRI for the agent. \`deploy/install.yaml\` is this chart with its defaults, for \`kubectl apply --server-side\`.

\`helm uninstall\` leaves the CustomResourceDefinitions and the ConnectionBudgets (\`crds.keep\`); pods start as ever.
`;

type Place = { readonly path: readonly string[]; readonly comment: string | undefined };

/** A map without a comment of its own is a group of values. */
function rowsOf(map: YAMLMap, place: Place): readonly string[] {
  return map.items.flatMap((pair, index) => {
    const { key, value } = scalarKeyed(pair);
    const path = [...place.path, key.text];
    // The comment of a map's first key belongs to the map as it is parsed.
    const comment = key.comment ?? (index === 0 ? place.comment : undefined);
    if (comment === undefined && isMap(value))
      return rowsOf(value, { path, comment: value.commentBefore ?? undefined });
    if (comment === undefined) throw new Error(`the value ${path.join('.')} has no comment`);
    return [row(path, comment, value)];
  });
}

function scalarKeyed({ key, value }: Pair) {
  if (!isScalar(key)) throw new Error('a key of values.yaml is no scalar');
  return { key: { text: String(key.value), comment: key.commentBefore ?? undefined }, value };
}

function row(path: readonly string[], comment: string, value: unknown): string {
  const shown = stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trim();
  const meaning = comment.replaceAll(/\s+/g, ' ').trim().replaceAll('|', '\\|');
  return `| \`${path.join('.')}\` | \`${shown}\` | ${meaning} |`;
}
