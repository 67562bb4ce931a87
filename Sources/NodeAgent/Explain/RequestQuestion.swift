import Addressing
import MeshModel

/// A request that somebody asks about: `METHOD URL`, then one line for each header.
struct RequestQuestion: Equatable {
    /// The method, as written.
    var method: String
    /// Whether the URL is of https.
    var isTLS: Bool
    /// The URL's host, lower case; an IPv6 address with its brackets.
    var host: String
    /// The URL's port, or its scheme's.
    var port: UInt16
    /// Path and query.
    var target: String
    /// Headers, names in lower case.
    var headers: [NamedValue]
    /// The address it would be sent to, where that is not the host.
    var address: IPAddress?

    /// Headers of a question.
    private static let headerMax = 32

    /// Why a question cannot be answered.
    struct Fault: Error, Equatable {
        var reason: String
    }

    /// Reads a question.
    ///
    /// - Parameter address: where the request would be sent, an IP address; `nil`: the host.
    init(_ text: String, at address: String?) throws(Fault) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: true)[...]
        let first = lines.popFirst() ?? ""
        let words = first.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2 else {
            throw Fault(reason: "expected METHOD URL, found \"\(first)\"")
        }
        method = String(words[0])
        guard let url = RequestQuestion.url(words[1]) else {
            throw Fault(
                reason: "expected a URL such as http://shop.example.com:8080/cart, found "
                    + "\"\(words[1])\""
            )
        }
        (isTLS, host, port, target) = url
        guard lines.count <= RequestQuestion.headerMax else {
            throw Fault(reason: "expected at most \(RequestQuestion.headerMax) headers")
        }
        headers = []
        for line in lines {
            let sides = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else {
                throw Fault(reason: "expected a header such as \"x-user: 1\", found \"\(line)\"")
            }
            let value = sides[1].drop { $0 == " " }
            headers.append(NamedValue(sides[0].lowercased(), String(value)))
        }
        self.address = IPAddress(host)
        guard let address else { return }
        guard let sentTo = IPAddress(address) else {
            throw Fault(reason: "expected an IP address to send to, found \"\(address)\"")
        }
        self.address = sentTo
    }

    /// The request's head as HTTP/1.1 would carry it.
    var head: [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nhost: \(host)\r\n"
        for header in headers { text += "\(header.name): \(header.value)\r\n" }
        return Array("\(text)\r\n".utf8)
    }

    private static func url(
        _ text: some StringProtocol
    ) -> (isTLS: Bool, host: String, port: UInt16, target: String)? {
        guard
            let scheme = ["http://", "https://"].first(where: { text.lowercased().hasPrefix($0) })
        else { return nil }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        var target = String(rest.dropFirst(authority.count))
        if !target.hasPrefix("/") { target = "/" + target }
        let isTLS = scheme == "https://"
        var host = authority.lowercased()
        var port: UInt16 = isTLS ? 443 : 80
        let end = host.lastIndex(of: "]") ?? host.startIndex
        if let colon = host[end...].lastIndex(of: ":") {
            guard let number = UInt16(host[colon...].dropFirst()), number > 0 else { return nil }
            port = number
            host = String(host[..<colon])
        }
        return host.isEmpty ? nil : (isTLS, host, port, target)
    }
}
