import DataPlane

/// Counts what is reported to a listener's filters: the offences of `sourceGuard`.
final class AbuseReports: Filter {
    private(set) var count = 0

    init() { super.init(name: "reports", phases: []) }

    override func protocolAbuse(_ context: FilterContext) { count += 1 }
}
