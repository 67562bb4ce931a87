import MeshModel

/// Keeps a copy of one kind's objects in step with an API server: a list by pages, then a watch from
/// the list's version, resumed where it broke, and a new list where the server has forgotten that
/// version (Kubernetes API Concepts, "Efficient detection of changes").
///
/// It knows names and versions only; bytes, connections, time and randomness are the caller's.
/// `next` says what to do; every outcome is told by one call.
package struct WatchMachine: Sendable {
    /// What the caller is to do next.
    package enum Action: Equatable, Sendable {
        /// Ask for a page of the list; `itemLimit` 0 for all of it.
        case list(continueToken: String, itemLimit: Int)
        /// Watch from a version.
        case watch(resourceVersion: String)
        /// Wait, then ask again.
        case wait(Duration)
    }

    /// What an event means for the copy.
    package enum Effect: Equatable, Sendable {
        case upsert
        case delete
        /// Nothing new.
        case none
        /// The server ended the watch with an error; the connection is to be closed.
        case ended
    }

    /// Why a request or a watch did not go on.
    package enum Fault: Error, Equatable, Sendable {
        /// The version or the continue token is too old (410 Gone).
        case expired
        /// The credentials were refused (401).
        case unauthorized
        /// They do not allow it (403).
        case forbidden
        /// The server does not serve the kind (404).
        case notServed
        /// Too many requests, or the server is not well (429, 5xx), with what it asks for.
        case overloaded(retryAfter: Duration)
        /// The connection could not be made, or broke.
        case disconnected
        /// The answer cannot be read.
        case malformed
        /// The server ended the watch with an error, which the machine knows already.
        case ended
    }

    private enum Phase: Equatable, Sendable {
        case listing(continueToken: String)
        case watching(resourceVersion: String)
    }

    /// Items of one page.
    package static let pageItemLimit = 500
    /// A watch that lived so long, or brought an event, counts as a success.
    package static let healthyWatchDuration = Duration.seconds(10)

    private var phase = Phase.listing(continueToken: "")
    private var known: [ObjectKey: String]
    private var seen: Set<ObjectKey> = []
    private var wait: Duration?
    private var backoff: BackoffMachine
    private var itemLimit = WatchMachine.pageItemLimit
    /// Whether a list has been complete once.
    package private(set) var isSynced = false
    /// Lists begun again because the server had forgotten the version.
    package private(set) var relistCount: UInt64 = 0

    /// Makes a machine that begins with a list.
    ///
    /// - Parameters:
    ///   - known: objects at hand already, from a mirror, with their versions.
    package init(known: [ObjectKey: String] = [:], backoff: BackoffMachine = BackoffMachine()) {
        self.known = known
        self.backoff = backoff
    }

    /// How many objects the copy holds.
    package var objectCount: Int { known.count }

    /// What to do now. A wait is said once.
    package mutating func next() -> Action {
        if let duration = wait {
            wait = nil
            return .wait(duration)
        }
        switch phase {
        case .listing(let token): return .list(continueToken: token, itemLimit: itemLimit)
        case .watching(let version): return .watch(resourceVersion: version)
        }
    }

    // MARK: List

    /// An item of the page came.
    ///
    /// - Returns: whether it is new or another version than the one at hand.
    package mutating func listed(_ key: ObjectKey, resourceVersion: String) -> Bool {
        seen.insert(key)
        return known.updateValue(resourceVersion, forKey: key) != resourceVersion
    }

    /// The page is complete.
    ///
    /// - Parameters:
    ///   - continueToken: empty on the last page.
    /// - Returns: objects at hand that the complete list has not; empty before the last page.
    package mutating func pageEnded(resourceVersion: String, continueToken: String) -> [ObjectKey] {
        guard continueToken.isEmpty else {
            phase = .listing(continueToken: continueToken)
            return []
        }
        let gone = known.keys.filter { !seen.contains($0) }.sorted()
        for key in gone { known[key] = nil }
        seen = []
        itemLimit = WatchMachine.pageItemLimit
        isSynced = true
        phase = .watching(resourceVersion: resourceVersion)
        return gone
    }

    // MARK: Watch

    /// An event of the watch came.
    package mutating func received(_ event: WatchEvent, random: UInt64) -> Effect {
        switch event {
        case .changed(let key, let version):
            progressed(to: version)
            return known.updateValue(version, forKey: key) == version ? .none : .upsert
        case .deleted(let key, let version):
            progressed(to: version)
            return known.removeValue(forKey: key) == nil ? .none : .delete
        case .bookmark(let version):
            progressed(to: version)
            return .none
        case .error(let code):
            failed(code == 410 || code == 504 ? .expired : .disconnected, random: random)
            return .ended
        }
    }

    /// The server ended the watch in good order, or its time was over.
    package mutating func watchEnded(lived: Duration, random: UInt64) {
        if lived >= WatchMachine.healthyWatchDuration { backoff.succeeded() }
        guard backoff.failureCount > 0 || lived < .seconds(1) else { return }
        wait = backoff.failed(random: random)
    }

    private mutating func progressed(to version: String) {
        backoff.succeeded()
        guard !version.isEmpty else { return }
        phase = .watching(resourceVersion: version)
    }

    // MARK: Faults

    /// A list or watch failed.
    package mutating func failed(_ fault: Fault, random: UInt64) {
        switch fault {
        case .expired:
            expired(random)
        case .overloaded(let retryAfter):
            forgetFirstPage()
            wait = backoff.failed(random: random, atLeast: retryAfter)
        case .unauthorized, .disconnected:
            forgetFirstPage()
            wait = backoff.failed(random: random)
        case .malformed, .notServed, .forbidden:
            // A server that has just started answers 403 and 404 until it knows its rules and
            // kinds: it is asked again soon, then more and more rarely.
            restartList()
            wait = backoff.failed(random: random)
        case .ended: break
        }
    }

    /// The first time at once; if it goes on, with growing waits. Where the continue token of a page
    /// had expired, the list is longer than the server's memory is deep at this pace, and is asked
    /// for in one piece.
    private mutating func expired(_ random: UInt64) {
        switch phase {
        case .listing(let token): itemLimit = token.isEmpty ? itemLimit : 0
        case .watching: break
        }
        relistCount += 1
        restartList()
        let duration = backoff.failed(random: random)
        wait = backoff.failureCount == 1 ? nil : duration
    }

    /// A first page that broke off is asked for anew and may then be of a later version: what was
    /// seen of it may be gone. Later pages are of the version that their token names.
    private mutating func forgetFirstPage() {
        if phase == .listing(continueToken: "") { seen = [] }
    }

    /// Begins a new list at once: the kind is asked for in another way.
    package mutating func restart() {
        restartList()
        wait = nil
    }

    private mutating func restartList() {
        seen = []
        phase = .listing(continueToken: "")
    }
}

/// An event of a watch, without the object's content.
package enum WatchEvent: Equatable, Sendable {
    /// ADDED or MODIFIED.
    case changed(ObjectKey, resourceVersion: String)
    /// DELETED.
    case deleted(ObjectKey, resourceVersion: String)
    /// BOOKMARK.
    case bookmark(resourceVersion: String)
    /// ERROR, with the code of the Status object.
    case error(code: Int)
}
