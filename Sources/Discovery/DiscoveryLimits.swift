import Telemetry

/// The bounds on what sources may send, of the whole process, with their counters.
package enum DiscoveryLimits {
    static let documentBytes = limit(
        "documents.byteLimit",
        "bytes",
        YAMLReader.byteLimit,
        "A file is read whole; a longer one is refused and keeps the objects it had."
    )
    static let documentDepth = limit(
        "documents.depthMax",
        "levels",
        YAMLReader.depthMax,
        "Values inside each other; a file with more is refused."
    )
    static let documentNodes = limit(
        "documents.nodeMax",
        "values",
        YAMLReader.nodeCountMax,
        "Of one file; a file with more is refused."
    )
    static let jsonDepth = limit(
        "json.depthMax",
        "levels",
        JSONCursor.depthLimit,
        "Values inside each other; a text with more is refused."
    )
    /// Elements of a rule's path prefix.
    static let prefixDepthMax = 32
    static let prefixDepth = limit(
        "routing.prefixDepthMax",
        "elements",
        prefixDepthMax,
        "Each is looked up for every request; a route with a deeper path prefix is refused."
    )
    static let watchLine = limit(
        "kubernetes.watchLineByteLimit",
        "bytes",
        WatchLineSplitter.lineByteLimit,
        "One event of a watch; a longer one ends the watch, and the kind is listed anew."
    )
    static let listItem = limit(
        "kubernetes.listItemByteLimit",
        "bytes",
        ListItemSplitter.itemByteLimit,
        "One object of a list; a longer one ends the list, which is asked for again."
    )
    static let listEnvelope = limit(
        "kubernetes.listEnvelopeByteLimit",
        "bytes",
        ListItemSplitter.envelopeByteLimit,
        "What is around the objects of a list; a longer one ends the list."
    )

    static let names = limit(
        "names.nameMax",
        "names",
        NameResolver.nameMax,
        "Each is looked up as long as it is used; one more has no addresses."
    )
    static let nameAddresses = limit(
        "names.addressMax",
        "addresses",
        NameRecord.addressMax,
        "Of one name and family; more are passed over."
    )

    /// All of them.
    package static let all = [
        documentBytes, documentDepth, documentNodes, jsonDepth, prefixDepth, watchLine, listItem,
        listEnvelope, names, nameAddresses,
    ]

    private static func limit(
        _ name: String,
        _ unit: String,
        _ value: Int,
        _ reason: String
    ) -> CountedLimit {
        CountedLimit(Limit(name, unit: unit, value: value, reason: reason))
    }
}
