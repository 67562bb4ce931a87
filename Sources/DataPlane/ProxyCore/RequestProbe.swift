import MeshModel

/// A request that is asked about and never made.
package struct RequestProbe: Sendable {
    /// The slot of the entry point it would come to.
    package var entry: Int32
    /// Its head as HTTP/1.1 would carry it, with `Host`.
    package var head: [UInt8]

    /// Makes a probe.
    package init(entry: Int32, head: [UInt8]) {
        self.entry = entry
        self.head = head
    }
}

/// What a worker's compiled tables say of a request.
package struct RequestFinding: Equatable, Sendable {
    /// Why a request is answered before it is routed.
    package struct Refusal: Equatable, Sendable {
        /// The answer's status.
        package var status: UInt16
        /// For people.
        package var reason: String
    }

    /// The version of the view that was asked.
    package var viewVersion: UInt64
    /// `nil` where the request is routed.
    package var refusal: Refusal?
    /// The listener's slot; -1 where no virtual host answers the name.
    package var listener: Int32 = -1
    /// The path it is routed by.
    package var path = ""
    /// `namespace/name/rule` of the rule that takes it; `nil` where none does.
    package var route: String?
}

extension HTTPProxy {
    /// Looks a request up in the tables in force, as `start` does, without making one. For the
    /// worker's own thread.
    package func find(_ probe: RequestProbe) -> RequestFinding {
        var finding = RequestFinding(viewVersion: view.version)
        var table = InlineArray<64, HeaderField>(repeating: HeaderField())
        let text = ScratchBuffer(capacity: ExchangeBlock.textByteLimit)
        text.append(probe.head)
        guard !text.overflowed else {
            let reason = "the head is longer than \(ExchangeBlock.textByteLimit) bytes"
            finding.refusal = .init(status: 431, reason: reason)
            return finding
        }
        var fields = table.mutableSpan
        let parse = HTTP1Head.parseRequest(text.bytes(), into: &fields, limits: HeadLimits())
        switch parse {
        case .fault(let fault):
            finding.refusal = .init(status: fault.status, reason: "the head is refused: \(fault)")
        case .needMore: finding.refusal = .init(status: 400, reason: "the head does not end")
        case .head(let head): find(head, text, fields.span, probe, &finding)
        }
        return finding
    }

    private func find(
        _ parsed: HTTP1RequestHead,
        _ text: ScratchBuffer,
        _ fields: Span<HeaderField>,
        _ probe: RequestProbe,
        _ finding: inout RequestFinding
    ) {
        let host = view.findHost(
            probe.entry,
            text.bytes(),
            parsed.authorityOffset,
            parsed.authorityLength
        )
        guard host >= 0 else { return }
        finding.listener = view.hosts[Int(host)].listener
        let given = RequestPath(text.bytes(), parsed.pathOffset, parsed.pathLength)
        guard let path = shape(given, parsed, host, text) else {
            finding.refusal = .init(status: 400, reason: "the path can be read in two ways")
            return
        }
        let range = path.start..<(path.start + path.pathByteCount)
        finding.path = String(decodingBytes: text.bytes().extracting(range))
        let method = TextRange(
            start: Int32(parsed.methodOffset),
            byteCount: Int32(parsed.methodLength)
        )
        let used = fields.extracting(0..<parsed.fieldCount)
        let action = view.findAction(host, text.bytes(), used, method, path)
        guard action >= 0 else { return }
        finding.route = String(decodingBytes: view.bytes(view.actions[Int(action)].routeName))
    }

    /// The path in the form of its host's listener, after the head in `text`; `nil` where it has
    /// none.
    private func shape(
        _ path: RequestPath,
        _ head: HTTP1RequestHead,
        _ host: Int32,
        _ text: ScratchBuffer
    ) -> RequestPath? {
        let shape = view.edge(of: host).path
        guard path.isNotable || shape.mergesSlashes else { return path }
        let range = path.start..<(path.start + path.pathByteCount)
        switch shape.judge(text.bytes(), range) {
        case .asItCame: return path
        case .ambiguous: return nil
        case .other: break
        }
        edgeText.reset()
        shape.write(text.bytes(), range, to: edgeText)
        let rest = range.upperBound..<(head.pathOffset + head.pathLength)
        edgeText.append(text.bytes(), rest)
        let start = text.count
        text.append(edgeText.bytes())
        return RequestPath(text.bytes(), start, edgeText.count)
    }
}
