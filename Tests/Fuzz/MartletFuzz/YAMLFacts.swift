import Discovery

/// Facts about manifests: reading ends in documents or a fault with a line of the text, and objects are
/// made of whatever documents there are without a trap.
enum YAMLFacts {
    static func check(_ bytes: [UInt8]) {
        let lineCount = bytes.count { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } + 2
        let contents = ManifestReader.read(bytes)
        let faults = contents.faults + contents.refused.flatMap(\.faults)
        // Unicode's own line separators count for libyaml as well; they take three bytes each.
        let lineMax = lineCount + bytes.count / 2
        for fault in faults {
            precondition(fault.line >= 0 && fault.line <= lineMax, "a fault outside the text")
            precondition(!fault.reason.isEmpty, "a fault without a reason")
        }
        precondition(contents.refused.allSatisfy { !$0.faults.isEmpty }, "refused without a fault")
        precondition(contents.objects.allSatisfy { !$0.object.key.name.isEmpty }, "no name")
    }
}
