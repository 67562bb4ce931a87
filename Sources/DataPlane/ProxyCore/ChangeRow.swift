import MeshModel

/// What a rule or a backend does to a request's target. Its texts are in the view's, or in the block
/// of the exchange that has taken it.
struct ChangeRow: BitwiseCopyable {
    enum Path: UInt8, BitwiseCopyable {
        case keep
        case whole
        case prefix
    }

    /// The status of a redirect; 0 where the target is rewritten.
    var status: UInt16 = 0
    /// Which part of the path is replaced.
    var path = Path.keep
    /// A slash at the replacement's end was left out: it stands where nothing follows.
    var endsInSlash = false
    /// Bytes of the path that the match took.
    var matchedByteCount: Int32 = 0
    /// Such as `https://`; of redirects only.
    var scheme = TextRange()
    /// Empty for the request's own.
    var host = TextRange()
    /// Such as `:8443`, or empty; of redirects only.
    var port = TextRange()
    /// What stands in place of the path or its part.
    var replacement = TextRange()
}

/// Which origins' scripts may read what a rule answers; texts as they go into fields.
struct CrossOriginRow: BitwiseCopyable {
    /// Origins that are allowed: rows of the view.
    var origins = RowRange()
    var allowsCredentials = false
    /// Every method, every header is allowed.
    var allowsAnyMethod = false
    var allowsAnyHeader = false
    var methods = TextRange()
    var headers = TextRange()
    var exposedHeaders = TextRange()
    var maxAge = TextRange()
}

/// An origin that is allowed: as it is, or what is before and after its wildcard.
struct OriginRow: BitwiseCopyable {
    var isWildcard = false
    var start = TextRange()
    var end = TextRange()
}

/// A regular expression: where its automaton is in the view's tables.
struct PatternRow: BitwiseCopyable {
    /// Its 256 classes of bytes.
    var classes: Int32
    var classCount: Int32
    var transitions: Int32
    var accepts: Int32
}

/// A regular expression of paths of a virtual host, and its rules.
struct PatternPathRow: BitwiseCopyable {
    var pattern: Int32
    var rules: RowRange
}
