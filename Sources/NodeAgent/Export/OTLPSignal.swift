/// What is exported, and how its records are wrapped: OTLP in JSON (opentelemetry-proto,
/// `docs/specification.md`).
enum OTLPSignal: String, Sendable {
    /// Finished spans; a record is the JSON of one.
    case traces
    /// Lines of the access log; a record is the line.
    case logs

    /// Where they are sent.
    var path: String { "/v1/\(rawValue)" }

    /// The body of one request.
    ///
    /// - Parameters:
    ///   - records: lines without their ends.
    ///   - timeNanoseconds: since 1970.
    func body(_ records: [ArraySlice<UInt8>], node: String, timeNanoseconds: UInt64) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(records.reduce(512) { $0 + $1.count + 128 })
        let resource =
            "\"resource\":{\"attributes\":[" + OTLPSignal.attribute("service.name", "martlet") + ","
            + OTLPSignal.attribute("host.name", node) + "]}"
        let names = self == .traces ? ("Spans", "spans") : ("Logs", "logRecords")
        body += "{\"resource\(names.0)\":[{\(resource),".utf8
        body += "\"scope\(names.0)\":[{\"scope\":{\"name\":\"martlet\"},\"\(names.1)\":[".utf8
        for (index, record) in records.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            switch self {
            case .traces: body += record
            case .logs:
                body += "{\"timeUnixNano\":\"\(timeNanoseconds)\",".utf8
                body += "\"observedTimeUnixNano\":\"\(timeNanoseconds)\",".utf8
                body += "\"severityNumber\":9,\"body\":{\"stringValue\":\"".utf8
                OTLPSignal.append(record, escapedTo: &body)
                body += "\"}}".utf8
            }
        }
        body += "]}]}]}".utf8
        return body
    }

    private static func attribute(_ key: String, _ value: String) -> String {
        "{\"key\":\"\(key)\",\"value\":{\"stringValue\":\"\(value)\"}}"
    }

    private static func append(_ text: ArraySlice<UInt8>, escapedTo body: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                body.append(UInt8(ascii: "\\"))
                body.append(byte)
            case 0..<0x20:
                body += "\\u00".utf8
                body.append(digits[Int(byte >> 4)])
                body.append(digits[Int(byte & 15)])
            default: body.append(byte)
            }
        }
    }
}
