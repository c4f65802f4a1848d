//! The bodies of a token command and of a card contract's status.

use serde_json::Value;
use utoipa::ToSchema;

use super::{BodyFault, object, only};
use crate::domain::{ProgramToken, TokenCommand};

/// What is wanted of a card's tokens.
#[derive(ToSchema)]
#[schema(as = TokenCommand, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct TokenCommandBody {
    /// `SUSPEND`, `RESUME` or `DEACTIVATE`.
    token_status: String,
    /// The token it is for; without it, all tokens of the card.
    token_number: Option<String>,
}

/// The status of a card contract.
#[derive(ToSchema)]
#[schema(as = ContractStatus, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct ContractStatusBody {
    /// Two digits: `05` suspends the active tokens here, `41` and `43` mark them for relinking.
    contract_status: String,
}

/// Reads a token command.
pub(in crate::api) fn token_command(
    body: &[u8],
) -> Result<(TokenCommand, Option<ProgramToken>), BodyFault> {
    let fields = object(body)?;
    only(&fields, "tokenStatus, tokenNumber")?;
    let word = fields.get("tokenStatus");
    let word = word.ok_or(BodyFault::Missing("tokenStatus"))?.as_str();
    let command = word.and_then(TokenCommand::from_word);
    let command = command.ok_or(BodyFault::WrongForm("tokenStatus"))?;
    let token = match fields.get("tokenNumber") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            let token = ProgramToken::parse(text);
            Some(token.ok_or(BodyFault::WrongForm("tokenNumber"))?)
        }
        Some(_) => return Err(BodyFault::WrongForm("tokenNumber")),
    };
    Ok((command, token))
}

/// Reads the status of a card contract: its two digits.
pub(in crate::api) fn contract_status(body: &[u8]) -> Result<String, BodyFault> {
    let fields = object(body)?;
    only(&fields, "contractStatus")?;
    let code = fields.get("contractStatus");
    let code = code.ok_or(BodyFault::Missing("contractStatus"))?;
    let is_code = |code: &&str| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_digit());
    let code = code.as_str().filter(is_code);
    code.map(str::to_owned)
        .ok_or(BodyFault::WrongForm("contractStatus"))
}
