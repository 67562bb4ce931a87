/// Gathers samples by family, which the text format wants together, and writes them.
struct PrometheusWriter {
    private struct Family {
        var help: String
        var type: String
        var lines: String = ""
    }

    private var families: [String: Family] = [:]

    /// Makes a family known even where it has no sample.
    mutating func declare(_ definition: CounterDefinition) {
        guard families[definition.name] == nil else { return }
        families[definition.name] = Family(
            help: definition.help,
            type: definition.kind.rawValue
        )
    }

    mutating func add(_ definition: CounterDefinition, _ labels: [MetricLabel], _ value: Double) {
        declare(definition)
        let line = PrometheusWriter.line(definition.name, labels, value)
        families[definition.name]?.lines += line
    }

    mutating func add(_ definition: CounterDefinition, _ histogram: HistogramSample) {
        var lines = ""
        let name = definition.name
        for bucket in histogram.buckets {
            let bound = PrometheusWriter.number(bucket.bound)
            let labels = histogram.labels + [MetricLabel("le", bound)]
            lines += PrometheusWriter.line("\(name)_bucket", labels, Double(bucket.count))
        }
        let total = Double(histogram.count)
        let every = histogram.labels + [MetricLabel("le", "+Inf")]
        lines += PrometheusWriter.line("\(name)_bucket", every, total)
        lines += PrometheusWriter.line("\(name)_sum", histogram.labels, histogram.sum)
        lines += PrometheusWriter.line("\(name)_count", histogram.labels, total)
        families[name, default: Family(help: definition.help, type: "histogram")].lines += lines
    }

    func text() -> String {
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(PrometheusWriter.escaped(family.help))\n"
            text += "# TYPE \(name) \(family.type)\n"
            text += family.lines
        }
        return text
    }

    private static func line(_ name: String, _ labels: [MetricLabel], _ value: Double) -> String {
        guard !labels.isEmpty else { return "\(name) \(number(value))\n" }
        let pairs = labels.map { "\($0.name)=\"\(escaped($0.value))\"" }
        return "\(name){\(pairs.joined(separator: ","))} \(number(value))\n"
    }

    private static func number(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 9e15 { return String(Int64(value)) }
        return value.description
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
