//! Encoding, base URI, parameters and base string.

use super::super::base_string::{base_uri, joined, parameter_string, query_parameters};
use super::super::{NotAnAddress, base_string, body_hash, percent_encode, rfc5849_base_string};
use super::parameters;

#[test]
fn body_hashes_are_those_of_mastercards_libraries() {
    let vectors = [
        ("", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        (
            "{\"foõ\":\"bar\"}",
            "+Z+PWW2TJDnPvRcTgol+nKO3LT7xm8smnsg+//XMIyI=",
        ),
        ("{}", "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o="),
        (
            "{ my: \"payload\" }",
            "Qm/nLCqwlog0uoCDvypgninzNQ25YHgTmUDl/zOgT1s=",
        ),
        (
            "{'A' : 'sensitive data'}",
            "sKrMRMpmhyMJ05fETctDp3UnlDsm1rgOJxQroerFuMs=",
        ),
    ];
    for (body, hash) in vectors {
        assert_eq!(body_hash(body.as_bytes()), hash, "{body}");
    }
}

#[test]
fn percent_encoding_is_that_of_mastercards_libraries() {
    let vectors = [
        ("Format=XML", "Format%3DXML"),
        (
            "WhqqH+TU95VgZMItpdq78BWb4cE=",
            "WhqqH%2BTU95VgZMItpdq78BWb4cE%3D",
        ),
        (
            "WhqqH+TU95VgZMItpdq78BWb4cE=&o",
            "WhqqH%2BTU95VgZMItpdq78BWb4cE%3D%26o",
        ),
        (
            "WhqqH+TU95VgZ~Itpdq78BWb4cE=&o",
            "WhqqH%2BTU95VgZ~Itpdq78BWb4cE%3D%26o",
        ),
        (
            "%25£¥a/El Niño/%",
            "%2525%C2%A3%C2%A5a%2FEl%20Ni%C3%B1o%2F%25",
        ),
        ("!*'()-._~", "%21%2A%27%28%29-._~"),
    ];
    for (text, encoded) in vectors {
        assert_eq!(percent_encode(text), encoded, "{text}");
    }
}

#[test]
fn base_uris_are_those_of_mastercards_libraries() {
    let vectors = [
        (
            "https://www.example.net:8080",
            "https://www.example.net:8080/",
        ),
        (
            "http://EXAMPLE.COM:80/r%20v/X?id=123",
            "http://example.com/r%20v/X",
        ),
        (
            "https://api.mastercard.com:443/test?query=param",
            "https://api.mastercard.com/test",
        ),
        (
            "https://api.mastercard.com:17443/test?query=param",
            "https://api.mastercard.com:17443/test",
        ),
        (
            "http://api.mastercard.com:80/test",
            "http://api.mastercard.com/test",
        ),
        (
            "https://api.mastercard.com/test?query=param#fragment",
            "https://api.mastercard.com/test",
        ),
        ("https://api.mastercard.com", "https://api.mastercard.com/"),
        (
            "HTTPS://API.MASTERCARD.COM/TEST",
            "https://api.mastercard.com/TEST",
        ),
    ];
    for (url, base) in vectors {
        assert_eq!(base_uri(url).as_deref(), Ok(base));
    }
    for path in [
        "/api/test%40test",
        "/r%2540v",
        "/foo@bar",
        "/foo&bar",
        "/foo(bar",
        "/foo=bar",
    ] {
        let url = format!("https://example.com{path}");
        assert_eq!(base_uri(&url), Ok(url));
    }
}

#[test]
fn a_port_that_is_the_default_of_the_other_scheme_stays() {
    for url in ["http://example.com:443/", "https://example.com:80/"] {
        assert_eq!(base_uri(url).as_deref(), Ok(url));
    }
    assert_eq!(
        base_uri("https://example.com?a=b/c").as_deref(),
        Ok("https://example.com/")
    );
}

#[test]
fn what_is_no_absolute_address_is_refused() {
    for url in [
        "",
        "/path",
        "example.com/",
        "https://",
        "ftp://example.com/",
        "http:///x",
    ] {
        assert_eq!(base_uri(url), Err(NotAnAddress), "{url}");
    }
    for query in ["?a=%", "?a=%4", "?a=%zz", "?a=%ff", "?a=%+1"] {
        let url = format!("https://example.com/{query}");
        let none = parameters(&[]);
        assert_eq!(base_string("GET", &url, &none), Err(NotAnAddress), "{url}");
        assert_eq!(rfc5849_base_string("GET", &url, &none), Err(NotAnAddress));
    }
}

fn joined_query(query: &str) -> String {
    let url = format!("https://example.com/?{query}");
    parameter_string(query_parameters(&url).unwrap())
}

#[test]
fn query_parameters_are_joined_as_mastercards_libraries_join_them() {
    assert_eq!(
        joined_query("offset=0&offset=1&length=10&empty&odd="),
        "empty=&length=10&odd=&offset=0&offset=1"
    );
    assert_eq!(
        joined_query("colon=:&plus=+&comma=,"),
        "colon=:&comma=,&plus=+"
    );
    assert_eq!(
        joined_query("colon=%3A&plus=%2B&comma=%2C"),
        "colon=%3A&comma=%2C&plus=%2B"
    );
}

#[test]
fn one_encoded_character_in_a_query_encodes_all_of_it() {
    assert_eq!(joined_query("a=:&b=%23"), "a=%3A&b=%23");
    assert_eq!(joined_query("a=1%262&b=3%3D4"), "a=1%262&b=3%3D4");
    assert_eq!(joined_query("a=1&&b=2&"), "a=1&b=2");
}

#[test]
fn parameters_are_sorted_by_name_then_by_value() {
    let rfc = "b5=%3D%253D&a3=a&c%40=&a2=r%20b&oauth_consumer_key=9djdj82h48djs9d2\
        &oauth_token=kkk9d7dh3k39sjv7&oauth_signature_method=HMAC-SHA1&oauth_timestamp=137131201\
        &oauth_nonce=7d8f3e4a&c2=&a3=2%20q";
    let pairs = |text: &str| -> Vec<(String, String)> {
        text.split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    assert_eq!(
        parameter_string(pairs(rfc)),
        "a2=r%20b&a3=2%20q&a3=a&b5=%3D%253D&c%40=&c2=&oauth_consumer_key=9djdj82h48djs9d2\
        &oauth_nonce=7d8f3e4a&oauth_signature_method=HMAC-SHA1&oauth_timestamp=137131201\
        &oauth_token=kkk9d7dh3k39sjv7"
    );
    assert_eq!(
        parameter_string(pairs("b=b&A=a&A=A&B=B&a=A&a=a&0=0")),
        "0=0&A=A&A=a&B=B&a=A&a=a&b=b"
    );
    // By name first, not by the joined text: `-` sorts before `=`.
    assert_eq!(parameter_string(pairs("a-b=1&a=2")), "a=2&a-b=1");
}

#[test]
fn base_strings_of_given_parts_are_those_of_mastercards_libraries() {
    for (query, written) in [
        ("token1%3Atoken2", "token1%253Atoken2"),
        ("token1:token2", "token1%3Atoken2"),
    ] {
        let url = format!("https://example.com/?param={query}");
        let pairs = parameter_string(query_parameters(&url).unwrap());
        assert_eq!(
            joined("GET", "https://example.com", &pairs),
            format!("GET&https%3A%2F%2Fexample.com&param%3D{written}")
        );
    }
    let pairs = [
        ("param2", "hello"),
        ("first_param", "value"),
        ("first_param", "othervalue"),
        ("oauth_nonce", "randomnonce"),
        ("oauth_body_hash", "body/hash"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        joined(
            "post",
            "https://api.mastercard.com",
            &parameter_string(pairs)
        ),
        "POST&https%3A%2F%2Fapi.mastercard.com&first_param%3Dothervalue%26first_param%3Dvalue\
        %26oauth_body_hash%3Dbody%2Fhash%26oauth_nonce%3Drandomnonce%26param2%3Dhello"
    );
}

#[test]
fn a_whole_base_string_is_that_of_mastercards_java_library() {
    let oauth = parameters(&[
        (
            "oauth_body_hash",
            "h2Pd7zlzEZjZVIKB4j94UZn/xxoR3RoCjYQ9/JdadGQ=",
        ),
        ("oauth_consumer_key", &"x".repeat(48)),
        ("oauth_nonce", &"1".repeat(19)),
        ("oauth_signature_method", "RSA-SHA256"),
        ("oauth_timestamp", "1111111111"),
        ("oauth_version", "1.0"),
    ]);
    let url = "https://sandbox.api.mastercard.com/fraud/merchant/v1/termination-inquiry\
        ?Format=XML&PageOffset=0&PageLength=10";
    assert_eq!(
        base_string("POST", url, &oauth).unwrap(),
        "POST&https%3A%2F%2Fsandbox.api.mastercard.com%2Ffraud%2Fmerchant%2Fv1%2Ftermination-inquiry\
        &Format%3DXML%26PageLength%3D10%26PageOffset%3D0\
        %26oauth_body_hash%3Dh2Pd7zlzEZjZVIKB4j94UZn%2FxxoR3RoCjYQ9%2FJdadGQ%3D\
        %26oauth_consumer_key%3Dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        %26oauth_nonce%3D1111111111111111111%26oauth_signature_method%3DRSA-SHA256\
        %26oauth_timestamp%3D1111111111%26oauth_version%3D1.0"
    );
}

#[test]
fn a_whole_base_string_is_that_of_mastercards_node_library() {
    let oauth = parameters(&[
        ("oauth_consumer_key", "aaa!aaa"),
        ("oauth_nonce", "uTeLPs6K"),
        ("oauth_signature_method", "RSA-SHA256"),
        ("oauth_timestamp", "1524771555"),
        ("oauth_version", "1.0"),
    ]);
    let url = "https://sandbox.api.mastercard.com/merchantid/v1/merchantid\
        ?MerchantId=GOOGLE%20LTD%20ADWORDS%20CC%40GOOGLE.COM&Format=XML&Type=ExactMatch&Format=JSON";
    assert_eq!(
        base_string("GET", url, &oauth).unwrap(),
        "GET&https%3A%2F%2Fsandbox.api.mastercard.com%2Fmerchantid%2Fv1%2Fmerchantid\
        &Format%3DJSON%26Format%3DXML\
        %26MerchantId%3DGOOGLE%2520LTD%2520ADWORDS%2520CC%2540GOOGLE.COM%26Type%3DExactMatch\
        %26oauth_consumer_key%3Daaa%21aaa%26oauth_nonce%3DuTeLPs6K\
        %26oauth_signature_method%3DRSA-SHA256%26oauth_timestamp%3D1524771555%26oauth_version%3D1.0"
    );
}

#[test]
fn to_the_letter_of_the_rfc_every_value_is_encoded_before_the_joining() {
    let oauth = parameters(&[
        ("oauth_body_hash", "a/b="),
        ("oauth_consumer_key", "key!id"),
        ("oauth_signature", "left out"),
        ("realm", "left out"),
    ]);
    let url = "https://example.com/x?q=:&r=a+b%23";
    assert_eq!(
        rfc5849_base_string("get", url, &oauth).unwrap(),
        "GET&https%3A%2F%2Fexample.com%2Fx&oauth_body_hash%3Da%252Fb%253D\
        %26oauth_consumer_key%3Dkey%2521id%26q%3D%253A%26r%3Da%2520b%2523"
    );
    assert_eq!(
        base_string("get", url, &oauth).unwrap(),
        "GET&https%3A%2F%2Fexample.com%2Fx&oauth_body_hash%3Da%2Fb%3D\
        %26oauth_consumer_key%3Dkey%21id%26q%3D%253A%26r%3Da%252Bb%2523"
    );
}
