import { describe, expect, it } from 'vitest';
import { parseConnectionBudget } from '../../../src/api/budget-object.ts';
import { planPage } from '../../../src/cli/page/plan-page.ts';
import type { planJson } from '../../../src/cli/plan-json.ts';
import type { Demand, Translator } from '../../../src/planner/demand.ts';
import { plan } from '../../../src/planner/plan.ts';
import { container, demand, inbound, outbound } from '../../planner/demands.ts';
import { connectionBudget } from '../command.ts';
import { type Element, elementsIn, parsePage, textOf, withClass } from './markup.ts';

const example = (name: string): string => new URL(`../../../examples/${name}.yaml`, import.meta.url).pathname;

type Plan = ReturnType<typeof planJson>;

const examples = ['mqtt-broker', 'quickstart', 'web-crawler', 'websocket-chat'];

const ran = new Map(
  examples.map((name) => {
    const run = (format: string) => connectionBudget(['plan', '-f', example(name), '-o', format]);
    return [name, { page: run('html'), plans: [JSON.parse(run('json').stdout) as Plan | Plan[]].flat() }];
  }),
);
const asPage = (name: string) => ran.get(name)!.page;
const asJson = (name: string) => ran.get(name)!.plans;

const rowsOf = (page: Element) =>
  withClass(page, 'limit').map((row) => ({
    limit: textOf(elementsIn(row).find(({ name }) => name === 'code')!),
    status: textOf(withClass(row, 'pill')[0]!),
    text: textOf(row),
  }));

describe('the page of a plan', () => {
  it.each(examples)('of %s has every limit of the JSON once, with its status', (name) => {
    const shown = rowsOf(parsePage(asPage(name).stdout)).map(({ limit, status }) => `${limit} ${status}`);
    const planned = asJson(name).flatMap(({ limits }) => limits.map(({ limit, status }) => `${limit} ${status}`));
    expect(shown.toSorted()).toEqual(planned.toSorted());
  });

  it.each(examples)('of %s says of every budget what the JSON says, and ends with the same status', (name) => {
    const { status, stdout } = asPage(name);
    const page = parsePage(stdout);
    const plans = asJson(name);
    const articles = elementsIn(page).filter(({ name: element }) => element === 'article');
    expect(articles).toHaveLength(plans.length);
    for (const [index, { feasible, budget, bindingLimit, pod, node, assumptions }] of plans.entries()) {
      const text = textOf(articles[index]!);
      const said = [
        `${budget.namespace}/${budget.name} ${feasible ? 'feasible' : 'NOT feasible'}`,
        ...(bindingLimit === null ? [] : [bindingLimit.message, bindingLimit.remedy]),
        ...pod.sysctls.flatMap((sysctl) => [`${sysctl.name} set by the ${sysctl.setBy.toLowerCase()}`, sysctl.value]),
        ...pod.containers.map(({ descriptors }) => `${descriptors.soft.toLocaleString('en-US')} soft`),
        ...node.sysctls.flatMap((minimum) => [minimum.name, minimum.minimum.toLocaleString('en-US')]),
        ...assumptions,
      ];
      expect(said.filter((fact) => !text.includes(fact))).toEqual([]);
    }
    expect(status).toBe(plans.every(({ feasible }) => feasible) ? 0 : 3);
  });

  it.each([
    { name: 'mqtt-broker', binding: ['TranslatorPorts the load balancer lb, flow mqtt 550,000 of 55,000 ports'] },
    { name: 'web-crawler', binding: ['TranslatorPorts address translation node, flow web 81,400 of 62,000 ports'] },
    { name: 'websocket-chat', binding: ["ClientPorts the clients' ports, flow ws 110,000 of 84,696 ports"] },
    { name: 'quickstart', binding: [] },
  ])('of $name marks what binds first once', ({ name, binding }) => {
    const marked = rowsOf(parsePage(asPage(name).stdout)).filter(({ text }) => text.includes('binds first'));
    expect(marked.map(({ text }) => text.trim().split(' Binding')[0])).toEqual(binding);
    expect(asPage(name).stdout.match(/binds first/g) ?? []).toHaveLength(binding.length);
  });

  it('says by which patch each raised limit is lifted, and how far', () => {
    const raised = rowsOf(parsePage(asPage('web-crawler').stdout)).filter(({ status }) => status === 'Raised');
    expect(
      raised.map(({ limit, text }) => [
        limit,
        text.match(/of ([\d,]+ → .*) Raised/)?.[1],
        text.split('Lifted by ')[1]?.trim(),
      ]),
    ).toEqual([
      ['RLIMIT_NOFILE', '1,024 → 69,262 descriptors', 'RLIMIT_NOFILE 69,262 soft, 69,262 hard, set by the agent'],
      [
        'net.ipv4.ip_local_port_range',
        '28,232 → 55,296 ports',
        'net.ipv4.ip_local_port_range 10240 65535, set by the kubelet',
      ],
      ['net.ipv4.tcp_max_tw_buckets', '16,384 → 67,100 entries', 'net.ipv4.tcp_max_tw_buckets 67100, set by the agent'],
    ]);
  });

  it.each([
    { name: 'mqtt-broker', direction: 'inbound', stages: 'Process Namespace Container Node LoadBalancer Clients' },
    {
      name: 'web-crawler',
      direction: 'outbound',
      stages: 'Process Socket Namespace Container Node NAT NAT Destination',
    },
  ])('draws the $direction flow of $name from the pod to the far end', ({ name, direction, stages }) => {
    const page = parsePage(asPage(name).stdout);
    const [figure] = withClass(page, `flow ${direction}`);
    expect(withClass(figure!, 'place').map((place) => textOf(place).split(' ')[0])).toEqual(stages.split(' '));
    expect(withClass(page, 'flow')).toHaveLength(1);
  });

  it('links from the path to limits that are there', () => {
    const page = parsePage(asPage('quickstart').stdout);
    const ids = elementsIn(page).flatMap(({ attributes }) => attributes['id'] ?? []);
    const links = elementsIn(page).flatMap(({ attributes }) => attributes['href'] ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    expect(links.length).toBeGreaterThan(8);
    expect(links.filter((link) => !ids.includes(link.slice(1)))).toEqual([]);
  });

  it.each(examples)('of %s needs nothing else: no script, no address, no file', (name) => {
    const { stdout } = asPage(name);
    expect(stdout).not.toMatch(/https?:|<script|<link|<img|@import|\son\w+=|srcset|\ssrc=/);
    expect(stdout.match(/url\([^)]*\)/g)).toEqual(['url(#missing)']);
    expect(stdout.match(/href="[^#]/g)).toBeNull();
  });

  it('bad input leaves nothing on stdout', () => {
    expect(connectionBudget(['plan', '-f', '-', '-o', 'html'], 'kind: ConfigMap')).toMatchObject({
      status: 2,
      stdout: '',
    });
    expect(connectionBudget(['node', '-o', 'html']).status).toBe(2);
  });
});

const { budget } = parseConnectionBudget({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: { name: 'any' },
  spec: { selector: { matchLabels: { app: 'any' } }, inbound: [{ name: 'any', port: 80, connections: 1 }] },
});

/** The page of a demand that no file may hold, or that takes a long file. */
const pageFor = (base: Demand, name = 'any'): Element =>
  parsePage(planPage([{ budget: { ...budget!, name, namespace: name }, demand: base, plan: plan(base) }]));

const hop = (type: Translator['type'], name: string): Translator => ({
  type,
  name,
  addresses: 1,
  portsPerAddress: 10,
  sharedBy: 'Pod',
  lingerSeconds: 0,
  idleTimeoutSeconds: 5,
});

it('the translator that clients meet first is farthest from the pod, the one that the pod meets first is nearest', () => {
  const page = pageFor(
    demand({
      inbound: [inbound({ name: 'a', path: [hop('LoadBalancer', 'front'), hop('NAT', 'inner')], opensPerSecond: 1 })],
      outbound: [outbound({ name: 'b', path: [hop('NAT', 'near'), hop('NAT', 'far')] })],
    }),
  );
  expect(withClass(page, 'flow').map((flow) => withClass(flow, 'name').map(textOf))).toEqual([
    ['inner', 'front'],
    ['near', 'far'],
  ]);
  const namespaces = withClass(page, 'flow').map((flow) => textOf(flow).includes('Namespace'));
  expect(namespaces).toEqual([true, false]);
});

const pageOf = (name: string): Element =>
  pageFor(
    demand({
      containers: [container({ name })],
      inbound: [inbound({ name, opensPerSecond: 9000 })],
      outbound: [outbound({ name, path: [hop('NAT', name)] })],
      assumptions: [{ kind: 'ClientsUnbounded', subject: name, value: 0 }],
    }),
    name,
  );

const skeletonOf = (root: Element) =>
  elementsIn(root)
    .filter((each) => each.name !== 'wbr')
    .map((each) => [each.name, Object.keys(each.attributes)]);

describe('hostile names', () => {
  const hostile = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' style='background:url(https://example.test/x)",
    '</style><svg onload=alert(1)>',
    '&lt;b&gt; &amp;',
    'x'.repeat(10_000),
  ];

  it.each(hostile.map((name) => ({ name, start: name.slice(0, 30) })))(
    '$start is shown as it is and adds nothing',
    ({ name }) => {
      const page = pageOf(name);
      const tame = pageOf('tame');
      expect(skeletonOf(page)).toEqual(skeletonOf(tame));
      expect(textOf(page).split(name.replace(/\s+/g, ' ')).length).toBe(textOf(tame).split('tame').length);
    },
  );
});
