{{/* Labels that select the pods of one part: .part is controller or agent. */}}
{{- define "connectionbudget.selectorLabels" -}}
app.kubernetes.io/name: connection-budget
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "connectionbudget.labels" -}}
{{ include "connectionbudget.selectorLabels" . }}
app.kubernetes.io/part-of: connection-budget
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "connectionbudget.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}
