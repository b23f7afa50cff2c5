{{/*
One DaemonSet: .root, .variant with name ("" for the agent proper), nodeSelector and capabilities, .othersNodes with the
node selectors of the variants, which the agent proper leaves alone.
*/}}
{{- define "connectionbudget.agentDaemonSet" -}}
{{- $name := printf "connectionbudget-agent%s" (ternary "" (printf "-%s" .variant.name) (empty .variant.name)) }}
{{- $variantLabel := dict "connectionbudget.io/agent" (.variant.name | default "default") | toYaml }}
{{- $labels := include "connectionbudget.labels" (dict "root" .root "part" "agent") }}
{{- $agent := .root.Values.agent -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
    {{- $variantLabel | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "connectionbudget.selectorLabels" (dict "root" .root "part" "agent") | nindent 6 }}
      {{- $variantLabel | nindent 6 }}
  updateStrategy:
    rollingUpdate: {maxUnavailable: {{ $agent.maxUnavailable }}}
  template:
    metadata:
      labels:
        {{- $labels | nindent 8 }}
        {{- $variantLabel | nindent 8 }}
        {{- with $agent.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with $agent.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: connectionbudget-agent
      priorityClassName: {{ $agent.priorityClassName | quote }}
      hostPID: true
      terminationGracePeriodSeconds: 10
      nodeSelector: {{- toYaml (merge (dict) (.variant.nodeSelector | default dict) $agent.nodeSelector) | nindent 8 }}
      {{- with .othersNodes }}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions:
                  {{- range . }}
                  {{- range $key, $value := . }}
                  - {key: {{ $key | quote }}, operator: NotIn, values: [{{ $value | quote }}]}
                  {{- end }}
                  {{- end }}
      {{- end }}
      {{- with $agent.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: agent
          {{- include "connectionbudget.agentContainer" . | nindent 10 }}
      volumes:
        - name: nri
          hostPath: {path: {{ $agent.nriDirectory }}, type: DirectoryOrCreate}
        - name: proc
          hostPath: {path: /proc, type: Directory}
        {{- range $index, $directory := $agent.netnsDirectories }}
        - name: netns-{{ $index }}
          hostPath: {path: {{ $directory }}, type: DirectoryOrCreate}
        {{- end }}
        {{- with $agent.podNetwork }}
        {{- if .enabled }}
        - name: cni-configuration
          hostPath: {path: {{ .configurationDirectory }}, type: DirectoryOrCreate}
        {{- range $index, $directory := .programDirectories }}
        - name: cni-programs-{{ $index }}
          hostPath: {path: {{ $directory }}, type: DirectoryOrCreate}
        {{- end }}
        {{- range $index, $directory := .dataDirectories }}
        - name: cni-data-{{ $index }}
          hostPath: {path: {{ $directory }}, type: DirectoryOrCreate}
        {{- end }}
        - name: addresses
          hostPath: {path: {{ .addressDirectory }}, type: DirectoryOrCreate}
        {{- end }}
        {{- end }}
        {{- if ne $agent.spread.mode "off" }}
        - name: sys-fs
          hostPath: {path: /sys/fs, type: Directory}
        {{- end }}
        - name: keys
          configMap: {name: connectionbudget-public-keys, optional: true}
{{- end }}

{{- define "connectionbudget.agentContainer" -}}
{{- $agent := .root.Values.agent -}}
image: {{ include "connectionbudget.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args:
  # The agent is mostly idle: heaps that grow little (6 MB less), no optimizing compilers, whose code has 7 MB, and no copy
  # of V8's own functions near each heap (2 MB).
  - --max-semi-space-size=1
  - --optimize-for-size
  - --heap-growing-percent=15
  - --no-opt
  - --no-maglev
  - --no-short-builtin-calls
  - /app/agent.js
  - --port=8081
  - --log-level={{ $agent.logLevel }}
  - --nri-socket={{ $agent.nriDirectory }}/nri.sock
  - --keys-directory=/etc/connectionbudget/keys
  - --proc-root=/host/proc
  - --maximum-nofile={{ int64 $agent.maximumNofile }}
  {{- with $agent.podNetwork }}
  {{- if .enabled }}
  - --cni-configuration-folder={{ .configurationDirectory }}
  - --cni-program-folders={{ join "," .programDirectories }}
  - --address-folder={{ .addressDirectory }}
  {{- end }}
  {{- end }}
  - --spread={{ $agent.spread.mode }}
  {{- if ne $agent.spread.mode "off" }}
  - --bpffs-folder=/host/sys-fs/bpf
  - --cgroup-folder=/host/sys-fs/cgroup
  {{- end }}
  {{- with $agent.allowedSysctls }}
  - --allowed-sysctls={{ join "," . }}
  {{- end }}
env:
  # One heap for all of its few threads: 5 MB less.
  - {name: MALLOC_ARENA_MAX, value: '1'}
  - name: CONNECTIONBUDGET_NODE_NAME
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  - name: CONNECTIONBUDGET_VERSION
    value: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
ports:
  - {name: metrics, containerPort: 8081}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 2
resources: {{- toYaml $agent.resources | nindent 2 }}
securityContext:
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  privileged: false
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- with .variant.capabilities }}
    add: {{- toYaml . | nindent 6 }}
    {{- end }}
  seccompProfile: {{- toYaml $agent.seccompProfile | nindent 4 }}
  appArmorProfile: {{- toYaml $agent.appArmorProfile | nindent 4 }}
volumeMounts:
  - {name: nri, mountPath: {{ $agent.nriDirectory }}, readOnly: true}
  - {name: proc, mountPath: /host/proc}
  {{- range $index, $directory := $agent.netnsDirectories }}
  - {name: netns-{{ $index }}, mountPath: {{ $directory }}, mountPropagation: HostToContainer, readOnly: true}
  {{- end }}
  {{- with $agent.podNetwork }}
  {{- if .enabled }}
  - {name: cni-configuration, mountPath: {{ .configurationDirectory }}, readOnly: true}
  {{- range $index, $directory := .programDirectories }}
  - {name: cni-programs-{{ $index }}, mountPath: {{ $directory }}, readOnly: true}
  {{- end }}
  {{- range $index, $directory := .dataDirectories }}
  - {name: cni-data-{{ $index }}, mountPath: {{ $directory }}}
  {{- end }}
  - {name: addresses, mountPath: {{ .addressDirectory }}}
  {{- end }}
  {{- end }}
  {{- if ne $agent.spread.mode "off" }}
  - {name: sys-fs, mountPath: /host/sys-fs, readOnly: true}
  {{- end }}
  - {name: keys, mountPath: /etc/connectionbudget/keys, readOnly: true}
{{- end }}
