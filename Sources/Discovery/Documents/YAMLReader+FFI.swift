import CLibYAML

/// Reads YAML and JSON text into documents, by libyaml's events. Bounded in size, depth and count;
/// anchors and aliases are refused.
package enum YAMLReader {
    /// Bytes of one text.
    package static let byteLimit = 8 << 20
    /// Values inside each other.
    package static let depthMax = 64
    /// Values of one text.
    package static let nodeCountMax = 500_000

    /// Reads all documents of a text. Empty documents are left out.
    package static func read(_ bytes: [UInt8]) throws(DocumentFault) -> [DocumentNode] {
        guard bytes.count <= byteLimit else {
            DiscoveryLimits.documentBytes.reached()
            throw DocumentFault(
                line: 1,
                reason: "expected at most \(byteLimit) bytes, found \(bytes.count)"
            )
        }
        var parser = unsafe yaml_parser_t()
        guard unsafe yaml_parser_initialize(&parser) == 1 else {
            throw DocumentFault(line: 1, reason: "libyaml has no memory")
        }
        defer { unsafe yaml_parser_delete(&parser) }
        let result: Result<[DocumentNode], DocumentFault> = unsafe bytes.withUnsafeBufferPointer {
            buffer in
            unsafe yaml_parser_set_input_string(&parser, buffer.baseAddress, buffer.count)
            var builder = DocumentBuilder()
            while true {
                var event = unsafe yaml_event_t()
                guard unsafe yaml_parser_parse(&parser, &event) == 1 else {
                    return .failure(unsafe fault(of: parser))
                }
                defer { unsafe yaml_event_delete(&event) }
                if unsafe event.type == YAML_STREAM_END_EVENT { return .success(builder.documents) }
                if let fault = unsafe take(event, &builder) { return .failure(fault) }
            }
        }
        return try result.get()
    }

    private static func fault(of parser: yaml_parser_t) -> DocumentFault {
        let problem = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "malformed text"
        return DocumentFault(line: Int(unsafe parser.problem_mark.line) + 1, reason: problem)
    }

    private static func take(_ event: yaml_event_t, _ builder: inout DocumentBuilder)
        -> DocumentFault?
    {
        let line = Int(unsafe event.start_mark.line) + 1
        switch unsafe event.type {
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            guard unsafe scalar.anchor == nil else { return anchored(line) }
            let buffer = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            let text = unsafe String(decoding: buffer, as: UTF8.self)
            let isQuoted = unsafe scalar.style != YAML_PLAIN_SCALAR_STYLE
            return builder.add(.scalar(text: text, isQuoted: isQuoted, line: line))
        case YAML_SEQUENCE_START_EVENT:
            guard unsafe event.data.sequence_start.anchor == nil else { return anchored(line) }
            return builder.open(isMapping: false, line: line)
        case YAML_MAPPING_START_EVENT:
            guard unsafe event.data.mapping_start.anchor == nil else { return anchored(line) }
            return builder.open(isMapping: true, line: line)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return builder.close()
        case YAML_ALIAS_EVENT: return anchored(line)
        default: return nil
        }
    }

    private static func anchored(_ line: Int) -> DocumentFault {
        DocumentFault(line: line, reason: "anchors and aliases are refused: write the value out")
    }
}
