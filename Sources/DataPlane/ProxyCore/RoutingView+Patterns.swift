import MeshModel

extension RoutingView {
    /// Whether all of a text matches a regular expression.
    func matches(_ pattern: Int32, _ bytes: RawSpan, _ start: Int, _ count: Int) -> Bool {
        let row = patterns[Int(pattern)]
        var state = Int(Pattern.startState)
        for at in start..<(start + count) {
            let kind = patternClasses[Int(row.classes) + Int(bytes.byte(at: at))]
            let place = Int(row.transitions) + state * Int(row.classCount) + Int(kind)
            state = Int(patternTransitions[place])
            if state == 0 { return false }
        }
        return patternAccepts[Int(row.accepts) + state]
    }

    /// The first of a host's regular expressions that takes a path and has a rule for the request.
    func searchPatterns(
        _ host: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ method: TextRange,
        _ path: RequestPath
    ) -> Int32 {
        let range = hosts[Int(host)].patterns
        for offset in 0..<range.count {
            let row = patternPaths[Int(range.first + offset)]
            guard matches(row.pattern, bytes, path.start, path.pathByteCount) else { continue }
            let action = firstRule(row.rules, bytes, fields, method, path)
            if action >= 0 { return action }
        }
        return -1
    }
}
