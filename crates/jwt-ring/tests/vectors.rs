//! Signatures of others are accepted, and those of this crate by its own checks. The keys and
//! tokens are those of the standards (RFC 7515, RFC 7519, RFC 8037).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

struct Vector {
    algorithm: Algorithm,
    key: DecodingKey,
    token: &'static str,
}

fn vectors() -> Vec<Vector> {
    vec![
        // RFC 7515, appendix A.1
        Vector {
            algorithm: Algorithm::HS256,
            key: secret(
                "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
            ),
            token: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        // RFC 7515, appendix A.2
        Vector {
            algorithm: Algorithm::RS256,
            key: DecodingKey::from_rsa_components(
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
                "AQAB",
            )
            .unwrap(),
            token: "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        },
        // RFC 7515, appendix A.3
        Vector {
            algorithm: Algorithm::ES256,
            key: DecodingKey::from_ec_components(
                "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            )
            .unwrap(),
            token: "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        },
        // RFC 8037, appendix A.4
        Vector {
            algorithm: Algorithm::EdDSA,
            key: DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
                .unwrap(),
            token: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        },
    ]
}

fn secret(base64_url: &str) -> DecodingKey {
    let base64 = base64_url.replace('-', "+").replace('_', "/") + "==";
    DecodingKey::from_base64_secret(&base64).unwrap()
}

fn is_valid(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    jwt_ring::install();
    let (message, signature) = token.rsplit_once('.').unwrap();
    crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

#[test]
fn tokens_of_the_standards_are_valid() {
    for Vector {
        algorithm,
        key,
        token,
    } in vectors()
    {
        assert!(is_valid(token, &key, algorithm), "{algorithm:?}");
    }
}

#[test]
fn a_changed_message_signature_or_algorithm_is_not_valid() {
    for Vector {
        algorithm,
        key,
        token,
    } in vectors()
    {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let changed = if signature.starts_with('A') { "B" } else { "A" };
        for forged in [
            format!("{message}x.{signature}"),
            format!("{message}.{changed}{}", &signature[1..]),
            format!("{message}.{}", &signature[..signature.len() - 4]),
            format!("{message}."),
        ] {
            assert!(!is_valid(&forged, &key, algorithm), "{algorithm:?}");
        }
        for other in vectors() {
            let is_same = other.algorithm == algorithm;
            assert_eq!(is_valid(token, &key, other.algorithm), is_same);
        }
    }
}

#[test]
fn an_rsa_modulus_with_a_sign_byte_is_understood() {
    let rsa = &vectors()[1];
    let jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } = rsa.key.kind() else {
        panic!("components");
    };
    let with_sign = [&[0], n.as_slice()].concat();
    let key = DecodingKey::from_rsa_raw_components(&with_sign, e);
    assert!(is_valid(rsa.token, &key, Algorithm::RS256));
}

#[test]
fn a_key_of_another_family_is_refused() {
    jwt_ring::install();
    let key = EncodingKey::from_secret(b"secret");
    assert!(crypto::sign(b"message", &key, Algorithm::ES256).is_err());
    let key = DecodingKey::from_secret(b"secret");
    assert!(crypto::verify("c2ln", b"message", &key, Algorithm::ES256).is_err());
}

#[test]
fn a_secret_signs_what_it_verifies() {
    jwt_ring::install();
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let signature = crypto::sign(b"message", &EncodingKey::from_secret(b"secret"), algorithm);
        let key = DecodingKey::from_secret(b"secret");
        let is_valid = crypto::verify(&signature.unwrap(), b"message", &key, algorithm);
        assert!(is_valid.unwrap(), "{algorithm:?}");
    }
}
