// A pod webhook as one is written with Pepr: pods of a namespace with a label get an annotation and two sysctls.
const { a, Capability, PeprModule } = require('pepr');

const settings = Object.fromEntries(
  Array.from({ length: 20 }, (_, index) => [`setting-${index}`, 'a value of about forty characters, like it']),
);
const plan = JSON.stringify({ budget: 'gateway', keyId: 'bench', ...settings });
const sysctls = [
  { name: 'net.ipv4.ip_local_port_range', value: '10240 65535' },
  { name: 'net.ipv4.ip_local_reserved_ports', value: '11883' },
];

const budgets = new Capability({ name: 'budgets', description: 'plans pods', namespaces: ['messaging'] });
budgets
  .When(a.Pod)
  .IsCreated()
  .InNamespace('messaging')
  .WithLabel('app', 'gateway')
  .Mutate((pod) => {
    pod.SetAnnotation('connectionbudget.io/plan', plan);
    const context = (pod.Raw.spec.securityContext ??= {});
    context.sysctls = [...(context.sysctls ?? []), ...sysctls];
  });

const pepr = { name: 'bench', uuid: 'bench', onError: 'ignore', alwaysIgnore: { namespaces: [] } };
const webhook = new PeprModule({ description: 'bench', pepr }, [budgets], { deferStart: true });
webhook.start(Number(process.env.PEPR_PORT));
