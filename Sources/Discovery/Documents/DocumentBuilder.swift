/// Builds documents from events, checking bounds and keys.
struct DocumentBuilder {
    private struct Open {
        var isMapping: Bool
        var line: Int
        var items: [DocumentNode] = []
        var entries: [DocumentNode.Entry] = []
        var keys: Set<String> = []
        var pendingKey: (text: String, line: Int)?
    }

    private(set) var documents: [DocumentNode] = []
    private var stack: [Open] = []
    private var nodeCount = 0

    mutating func open(isMapping: Bool, line: Int) -> DocumentFault? {
        guard stack.count < YAMLReader.depthMax else {
            DiscoveryLimits.documentDepth.reached()
            return DocumentFault(
                line: line,
                reason: "expected at most \(YAMLReader.depthMax) levels"
            )
        }
        if let top = stack.last, top.isMapping, top.pendingKey == nil {
            return DocumentFault(line: line, reason: "expected a scalar key")
        }
        stack.append(Open(isMapping: isMapping, line: line))
        return nil
    }

    mutating func close() -> DocumentFault? {
        guard let top = stack.popLast() else { return nil }
        return add(
            top.isMapping
                ? .mapping(top.entries, line: top.line) : .sequence(top.items, line: top.line)
        )
    }

    mutating func add(_ node: DocumentNode) -> DocumentFault? {
        nodeCount += 1
        guard nodeCount <= YAMLReader.nodeCountMax else {
            DiscoveryLimits.documentNodes.reached()
            return DocumentFault(
                line: node.line,
                reason: "expected at most \(YAMLReader.nodeCountMax) values"
            )
        }
        guard var top = stack.popLast() else {
            if !node.isNull { documents.append(node) }
            return nil
        }
        defer { stack.append(top) }
        guard top.isMapping else {
            top.items.append(node)
            return nil
        }
        guard let key = top.pendingKey else {
            guard case .scalar(let text, _, let line) = node else {
                return DocumentFault(line: node.line, reason: "expected a scalar key")
            }
            guard top.keys.insert(text).inserted else {
                return DocumentFault(line: line, reason: "key \"\(text)\" appears twice")
            }
            top.pendingKey = (text, line)
            return nil
        }
        top.entries.append(.init(key: key.text, line: key.line, value: node))
        top.pendingKey = nil
        return nil
    }
}
