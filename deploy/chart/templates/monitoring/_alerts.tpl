{{/* The alerts. Each has its section in docs/observability.md, to which prometheus-rule.yaml links it. */}}
{{- define "connectionbudget.alerts" -}}
- alert: ConnectionBudgetControllerAbsent
  expr: absent(connectionbudget_leader_info) or max(connectionbudget_leader_info) < 1
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: No replica of the controller leads
    description: Statuses grow old; where no replica runs at all, new pods start without their plan.
- alert: ConnectionBudgetTwoLeaders
  expr: sum(connectionbudget_leader_info) > 1
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: More than one replica says that it leads
    description: A clock or an API server lies. Writes go on only where the Lease is held.
- alert: ConnectionBudgetLeaderFlaps
  expr: sum(increase(connectionbudget_leader_changes_total{change=~"Lost|LeadFailed"}[1h])) > 3
  labels: {severity: warning}
  annotations:
    summary: The controller's leadership is lost again and again
    description: The Lease cannot be renewed in time, by an API server that is slow or a replica that is starved of CPU.
- alert: ConnectionBudgetNotReady
  expr: connectionbudget_budget_ready_status == 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: ConnectionBudget {{ "{{ $labels.namespace }}/{{ $labels.budget }}" }} is not Ready
    description: Its conditions name the limit that binds, or the pods that do not have what was planned.
- alert: ConnectionBudgetNearlyFull
  expr: >-
    connectionbudget_budget_headroom_connections / connectionbudget_budget_planned_connections < 0.1
    or connectionbudget_budget_used_descriptors_ratio >= 0.9
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: A pod of {{ "{{ $labels.namespace }}/{{ $labels.budget }}" }} uses more than 90 % of its plan
    description: Declare more connections or run more pods before its limits are met.
- alert: ConnectionBudgetReconcileFails
  expr: sum by (kind) (rate(connectionbudget_reconcile_failures_total[15m])) > 0.1
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: Statuses of ConnectionBudgets cannot be written ({{ "{{ $labels.kind }}" }})
    description: Forbidden means that the ClusterRole connectionbudget-controller was changed.
- alert: ConnectionBudgetQueueStuck
  expr: max(connectionbudget_queue_oldest_seconds) > 120
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Budgets wait for minutes to be looked at
    description: The API server answers slowly, or the controller has too little CPU.
- alert: ConnectionBudgetWatchStale
  expr: max by (pod, resource) (connectionbudget_watch_silence_seconds) > 180
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: Nothing was heard of {{ "{{ $labels.resource }}" }} for minutes, not even a bookmark
    description: Plans rest on what was seen last.
- alert: ConnectionBudgetRelists
  expr: sum by (resource) (increase(connectionbudget_watch_lists_total[1h])) > 20
  labels: {severity: warning}
  annotations:
    summary: All {{ "{{ $labels.resource }}" }} are listed again and again
    description: Something between the controller and the API server breaks watches; each list costs both of them.
- alert: ConnectionBudgetApiThrottled
  expr: sum(rate(connectionbudget_api_requests_total{outcome="TooManyRequests"}[10m])) > 0.1
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: The API server turns the operator away (429)
    description: Its priority and fairness gives the operator too little; statuses come late.
- alert: ConnectionBudgetApiRefuses
  expr: sum by (method, outcome) (rate(connectionbudget_api_requests_total{outcome=~"Forbidden|Unauthorized"}[10m])) > 0
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: The API server refuses the operator ({{ "{{ $labels.outcome }}" }})
    description: Its token or its roles are not what the chart gives it.
- alert: ConnectionBudgetWebhookFails
  expr: sum(increase(connectionbudget_webhook_requests_total{result=~"Failed|Malformed|TooLarge"}[10m])) > 0
  labels: {severity: warning}
  annotations:
    summary: The webhook fails to answer
    description: Pods were admitted without their plan, or a budget could not be judged.
- alert: ConnectionBudgetWebhookSlow
  expr: >-
    histogram_quantile(0.99, sum by (le) (rate(connectionbudget_webhook_request_seconds_bucket{path="mutate-pods"}[10m]))) > 0.5
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: The webhook answers slowly
    description: After 2 s the API server admits a pod without its plan.
- alert: ConnectionBudgetWebhookUpkeepFails
  expr: sum by (step) (increase(connectionbudget_webhook_upkeep_failures_total[15m])) > 3
  labels: {severity: warning}
  annotations:
    summary: The webhook cannot look after itself ({{ "{{ $labels.step }}" }})
    description: Usually a Secret, the ConfigMap or a webhook configuration may not be written.
- alert: ConnectionBudgetCertificateExpires
  expr: min(connectionbudget_webhook_certificate_expiry_timestamp_seconds) - time() < 86400
  labels: {severity: critical}
  annotations:
    summary: The webhook's certificate expires within a day
    description: It is renewed long before.
- alert: ConnectionBudgetCaBundleContested
  expr: sum(increase(connectionbudget_webhook_ca_bundle_repairs_total[1h])) > 5
  labels: {severity: warning}
  annotations:
    summary: Somebody overwrites the caBundle of the webhook
    description: It is repaired each time; between two repairs pods are admitted without their plan.
- alert: ConnectionBudgetSigningKeyOld
  expr: time() - min(connectionbudget_webhook_signing_key_created_timestamp_seconds) > 8640000
  for: 1h
  labels: {severity: warning}
  annotations:
    summary: The key that signs plans is older than 100 days
    description: It is replaced after 90.
- alert: ConnectionBudgetAgentNotRegistered
  expr: connectionbudget_runtime_synchronized == 0
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: An agent is not registered with its container runtime
    description: Pods start there without their limits, sysctls and addresses.
- alert: ConnectionBudgetAgentWithoutKeys
  expr: connectionbudget_accepted_keys == 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: An agent has no key of the webhook
    description: It accepts no plan.
- alert: ConnectionBudgetPodsNotAsPlanned
  expr: >-
    sum by (reason)
    (connectionbudget_planned_pods{reason=~"SignatureInvalid|LimitNotSettable|SysctlNotSettable|AddressesMissing|SpreadNotAvailable"}) > 0
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: Pods run or wait without what is planned for them ({{ "{{ $labels.reason }}" }})
    description: The condition Verified of their budget has the names and the numbers.
- alert: ConnectionBudgetLateRepairs
  expr: sum by (part) (increase(connectionbudget_late_repairs_total[15m])) > 0
  labels: {severity: warning}
  annotations:
    summary: Pods got what is planned only after their start ({{ "{{ $labels.part }}" }})
    description: A program that reads its limits when it starts has the old ones.
- alert: ConnectionBudgetAgentCannotPublish
  expr: time() - connectionbudget_status_written_timestamp_seconds > 1200
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: An agent has not written its ConnectionNode for 20 minutes
    description: It writes at least every ten.
- alert: ConnectionBudgetAgentSlow
  expr: >-
    histogram_quantile(0.99, sum by (le, event) (rate(connectionbudget_runtime_event_duration_seconds_bucket{event!="synchronize"}[10m]))) > 1
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: Agents answer {{ "{{ $labels.event }}" }} slowly
    description: The runtime drops a plugin that takes 2 s, and creates containers one by one meanwhile.
- alert: ConnectionBudgetAgentErrors
  expr: sum by (kind) (rate(connectionbudget_agent_errors_total[15m])) > 0.1
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: Agents fail at something again and again ({{ "{{ $labels.kind }}" }})
    description: The agents' logs have each with its cause.
- alert: ConnectionBudgetNamespaceThreadsFail
  expr: sum by (pod) (increase(connectionbudget_namespace_thread_failures_total[15m])) > 3
  labels: {severity: warning}
  annotations:
    summary: An agent's thread for network namespaces hangs or dies
    description: Further addresses and spread of pods on its node are late.
{{- end }}
